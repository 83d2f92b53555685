//! The store from outside: in memory and in a folder.

mod desk;
mod folders;
#[cfg(unix)]
mod hostile;
mod mutated;
mod places;
mod sealed;
mod sharing;
mod taking_turns;
