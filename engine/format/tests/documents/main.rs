//! Session documents: what is written is what is read, what cannot be is refused, and every refusal says why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod canaries;
mod contradictions;
mod damage;
mod errors;
mod goldens;
mod manifests;
mod names;
mod parameters;
mod passports;
mod round_trips;
mod routes;
mod sample;
mod schemas;
mod transcoding;
