//! Live sessions: chatting, saving, loading, and refusing, in one process.

mod adapters;
mod chatting;
mod damage;
#[cfg(target_os = "linux")]
mod disks;
mod growing;
mod keeping;
mod numbers;
mod places;
mod proofs;
mod routes;
mod saving;
mod store;
mod support;
mod tools;
mod turns;
