mod cli;
mod demo;
mod edge;
mod grpc;
mod kill;
