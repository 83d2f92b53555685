//! The worker as other processes see it.

mod client;
mod kills;
mod protocol;
mod round_trip;
