mod demo;
mod grpc;
