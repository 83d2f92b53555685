//! How fast sessions are saved and restored, and whether that changed.
//!
//! Workers measure themselves: every figure is what a worker says on its own monotonic clock of one operation, so that
//! pipes, processes and JSON take no part. [`measure`] drives a worker through a cycle of operations; [`compare`]
//! interleaves the cycles of two workers and decides, row by row, with [`statistics`] and [`verdict`]; [`history`] keeps
//! what was measured over time, and [`change`] looks for steps in it.

pub mod change;
pub mod compare;
pub mod comparison;
pub mod counts;
pub mod history;
pub mod measure;
pub mod plot;
pub mod record;
pub mod row;
pub mod schedule;
pub mod statistics;
pub mod table;
pub mod verdict;
