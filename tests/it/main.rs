mod edge;
mod grpc;
mod kill;
