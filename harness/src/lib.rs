//! The harness of intact: runs save → load round trips over a compatibility matrix and judges every one of them.
//!
//! The harness never links llama.cpp. It drives workers over [`intact_protocol`], so a crash in C++ is a verdict and
//! not an outage, and any number of llama.cpp releases and foreign systems can take part in one run.

#[macro_use]
mod printing;

pub mod certificate;
pub mod change;
pub mod claims;
pub mod command;
pub mod config;
pub mod control;
pub mod covering;
pub mod distance;
pub mod environment;
pub mod exit;
pub mod expectation;
pub mod fault;
mod files;
pub mod filter;
mod fleeting;
pub mod folder;
pub mod gate;
mod home;
pub mod hub;
pub mod init;
pub mod installed;
pub mod interrupt;
pub mod journal;
pub mod judge;
mod model_file;
pub mod nearest;
pub mod noise;
mod parallel;
pub mod perf;
pub mod plan;
pub mod predictions;
pub mod properties;
pub mod recipe;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod schemas;
mod seen;
pub mod self_test;
pub mod suspects;
pub mod tags;
mod text;
pub mod trust;
pub mod verdict;
pub mod worker;
