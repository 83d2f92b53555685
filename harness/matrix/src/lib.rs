//! The matrix: what a cell is, which cells there are, what is done in each, and what can come of it. Nothing here starts a
//! worker: all of it is data and pure functions, but for the reading of a configuration and the damaging of files.
//!
//! From the bottom up: [`Dims`] name a cell; a [`filter`] selects among them; a [`recipe`] is what the values of a cell set,
//! a [`fault`] among it; [`config`] is `intact.toml`; a [`plan`] turns it into cells, by arrays that cover what they must
//! (`covering`), as `certificate` proves, which shares no code with it.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod axes;
mod certificate;
pub mod config;
mod covering;
mod dims;
pub mod fault;
pub mod filter;
pub mod plan;
pub mod recipe;
mod thresholds;
pub mod verdict;

pub use dims::{Dims, Part};
pub use thresholds::{Level, Limits, Thresholds};
