//! What every part of the harness stands on, and what knows of no part of it.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod exit;
pub mod files;
pub mod home;
pub mod journal;
pub mod nearest;
pub mod parallel;
pub mod tool;
