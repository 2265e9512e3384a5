mod cli;
mod edge;
mod grpc;
