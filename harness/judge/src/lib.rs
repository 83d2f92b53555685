//! The judge: from what was seen in a cell to its verdict, from the verdict and what was expected of it to what is found
//! wrong, and from that to how a run ends. Pure functions with tables as their oracles; nothing here has seen a worker.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod distance;
pub mod expectation;
mod finding;
pub mod gate;
mod judge;
pub mod mutant;

pub use finding::{Finding, FindingKind};
pub use judge::{ADOPTED, Evidence, Floor, Harm, Judgement, LoadedEvidence, Sampled, UNEXPLAINED, judge};
