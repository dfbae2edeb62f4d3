//! The control loop.

mod plan;
#[cfg(test)]
mod sim;
