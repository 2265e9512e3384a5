mod join;
mod moves;
mod peers;
mod world;
