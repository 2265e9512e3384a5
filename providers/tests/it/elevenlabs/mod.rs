mod ends;
mod opening;
mod provider;
mod talk;
