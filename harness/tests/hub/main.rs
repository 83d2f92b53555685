//! Fetching real models, against a hub on loopback: nothing here needs the internet.
#![cfg(feature = "hub")]

mod content;
mod desk;
mod fetching;
mod packages;
mod refusals;
mod server;
mod tokens;
