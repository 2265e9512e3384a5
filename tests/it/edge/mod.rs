//! The edge over real sockets: the test plays the carrier, with signed forms and a media socket, and the voice agent.

mod agent;
mod callbacks;
mod carrier;
mod conversations;
mod endings;
mod failover;
mod hostile;
mod line;
mod performing;
mod reattach;
mod resumed;
mod simulated;
mod tls;
mod world;
