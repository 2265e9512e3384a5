mod cli;
mod edge;
mod grpc;
mod kill;
