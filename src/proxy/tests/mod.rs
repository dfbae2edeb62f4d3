//! The proxy as its clients and backends see it: real sockets, backends in this process.

mod support;

mod basics;
mod malformed;
mod operation;
mod resilience;
mod routing;
mod streams;
mod tls;
