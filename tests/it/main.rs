mod grpc;
mod kill;
