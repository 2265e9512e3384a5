mod demo;
mod edge;
mod grpc;
