//! End to end: the real binary, a real Docker Engine, real clients.

#[path = "../support/app.rs"]
mod app;
#[path = "../support/engine.rs"]
mod engine;
#[path = "../support/fake_authority.rs"]
mod fake_authority;
#[path = "../support/haloyd.rs"]
mod haloyd;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/pebble.rs"]
mod pebble;
#[path = "../support/project.rs"]
mod project;
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/spec.rs"]
mod spec;
#[path = "../support/visitors.rs"]
mod visitors;

mod basics;
mod building;
mod certificates;
mod changes;
mod commands;
mod engine_restart;
mod first_contact;
mod health_checks;
mod mishaps;
mod naming;
mod options;
mod recovery;
mod registries;
mod release;
mod secrets;
mod strategies;
mod targets;
mod together;
mod transfer;
mod volumes;
