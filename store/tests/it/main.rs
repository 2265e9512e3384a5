mod crash;
mod embedded;
mod files;
