//! Bytes that nobody well-meaning sends, against the proxy of a running daemon with a backend that keeps
//! what comes through: what two parsers could read differently is refused, the connection with it, and
//! nothing of it reaches the backend.

mod bodies;
mod crowds;
mod front;
mod heads;
mod http2;
mod http2_frames;
mod mutations;
mod smuggling;
mod targets;
mod tls;
