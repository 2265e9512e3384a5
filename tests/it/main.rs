mod cli;
mod cluster;
mod cluster_calls;
mod demo;
mod edge;
mod grpc;
mod kill;
