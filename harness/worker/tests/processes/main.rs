//! The worker as other processes see it.

mod adopting;
mod client;
mod kills;
mod protocol;
mod quantizing;
mod round_trip;
