//! The harness of intact: runs save → load round trips over a compatibility matrix and judges every one of them.
//!
//! The harness never links llama.cpp. It drives workers over [`intact_protocol`], so a crash in C++ is a verdict and
//! not an outage, and any number of llama.cpp releases and foreign systems can take part in one run.

pub mod command;
pub mod exit;
pub mod filter;
pub mod nearest;
pub mod report;
pub mod results;
pub mod schemas;
pub mod tags;
pub mod verdict;
pub mod worker;
