//! The harness of intact: runs save → load round trips over a compatibility matrix and judges every one of them.
//!
//! The harness never links llama.cpp. It drives workers over [`intact_protocol`], so a crash in C++ is a verdict and
//! not an outage, and any number of llama.cpp releases and foreign systems can take part in one run.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[macro_use]
mod printing;

mod afresh;
mod bisect;
mod caging;
pub mod chains;
pub mod change;
mod claims;
pub mod command;
pub mod compat;
mod control;
pub mod corpus;
pub mod environment;
mod explain;
mod fingerprint;
mod fleeting;
pub mod folder;
mod init;
pub mod installed;
mod model_file;
pub mod noise;
pub mod perf;
mod predictions;
mod properties;
mod proposal;
mod quantity;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod schemas;
mod seen;
pub mod self_test;
mod style;
mod suspects;
pub mod tags;
mod text;
pub mod trust;
pub mod upgrade;
mod upstream;

pub use intact_base::exit;
pub use intact_base::journal;
use intact_base::{files, home, nearest, parallel};
pub use intact_driver as worker;
use intact_driver::interrupt;
use intact_hub as hub;
pub use intact_judge as judge;
use intact_judge::{distance, expectation, gate};
pub use intact_matrix::verdict;
use intact_matrix::{config, fault, filter, plan, recipe};
