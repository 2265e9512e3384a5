mod cli;
mod cluster;
mod demo;
mod edge;
mod grpc;
mod kill;
