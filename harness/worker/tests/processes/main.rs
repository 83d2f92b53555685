//! The worker as other processes see it.

mod adopting;
mod cage;
mod client;
mod kills;
mod protocol;
mod quantizing;
mod round_trip;
