mod edge;
mod grpc;
