//! The contract: everything that the documentation of the seed system promises about sessions, and everything it
//! recommends to do by hand, as a test that is named after the promise.

mod chatting;
mod desk;
mod loading;
mod manifest;
mod parameters;
mod portability;
mod presets;
mod replaying;
mod saving;
