//! Transcoding: the KV of one context in the form of another, instead of evaluating its tokens again.
//!
//! [`plan`] tells from two passports which steps that takes and what each costs; [`image`](fn@image) carries them out on a
//! state, [`section`] on a part of one; [`migrate`](fn@migrate) does both to a whole session for a release that is not at
//! hand. All of it is pure.
//!
//! Moving bytes costs nothing: another framing, V turned, another number of streams, a wider type. Rotating goes through
//! 32-bit floats and rounds to the same type again. Another type is a *declared loss*: a load policy may forbid it.

mod image;
mod migrate;
mod release;
mod rotation;
mod steps;
mod window;

pub use image::{Geometry, TranscodeError, Transcoded, image, section};
pub use migrate::{MigrateError, Migrated, migrate};
pub use release::{UnknownRotation, formats_in, passport_in};
pub use rotation::HeadSizes;
pub use steps::{Loss, Step, Steps, Unrepresentable, plan};
pub use window::holds;

pub(crate) use steps::{laid_out, lie_alike, requantized, rotates_between, types_convert};
