//! The daemon as a process: how it starts and why it does not, how it lives without Docker, how it ends,
//! and what its API makes of abuse. Only `engine` meets a Docker Engine, and a missing image at that.

mod abuse;
mod damage;
mod ending;
mod engine;
mod refusals;
mod settings;
mod systemd;

pub use abuse::deploy_body;
