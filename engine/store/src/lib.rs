//! A store of chat sessions that share their KV chunks: a folder or an object store, safe for many writers in many processes.
//!
//! # What lies where
//!
//! ```text
//! store.json                        this is a store, of this version
//! chunks/<2 digits>/<BLAKE3>        a chunk, or a session document; the name is the hash of the bytes
//! sessions/<hash of id>/<n>.json    the head of the n-th save of a session; the greatest n is the session
//! intents/<mark>.json               what a save under way relies on
//! sweeps/<mark>.json                what a garbage collection under way is about to remove
//! ```
//!
//! A head is small: the session's id, a summary for lists, and which payloads it needs. Lists and garbage collection read
//! heads alone, and need no key of an encrypted session, of which a head says only when it was saved. A payload's name is
//! always the hash of what is stored.
//!
//! # What every backend can do
//!
//! The protocol needs four things: list, get, put, and *put only if it is new*; listing must show what was put before. A
//! folder, S3, Google Cloud Storage and Azure can do that. Replacing an object on the condition that it did not change is not
//! needed, which a folder cannot do, nor are locks.
//!
//! # Saving
//!
//! 1. Put an intent that names every payload of the save.
//! 2. Read all sweeps, and the head of the last save.
//! 3. Store what is missing. A payload that a sweep has condemned counts as missing, even if it is there, and is stored
//!    under another name: `<hash>.<mark>`.
//! 4. Put the head of number *n* + 1, only if it is new. Who comes second looks again, and takes the next number or, where
//!    the caller expected another save, gives up with a conflict.
//! 5. Remove the intent.
//!
//! Who does not want to have all chunks in memory brings some ahead: puts an intent that names them, reads all sweeps, and
//! stores what is missing, as in 1 to 3. These intents stay until the save is over. The save names and looks for every payload
//! all the same; where one that was brought is gone, because a day has passed, it fails before it publishes anything.
//!
//! # Collecting garbage
//!
//! 1. List the payloads, then read all heads: what no head names is garbage, it seems.
//! 2. Put a sweep that names it.
//! 3. Read all intents, then all heads again: what they name is spared.
//! 4. Remove the rest, then the sweep.
//!
//! Why no session loses a payload: either a save put its intent before the collection read the intents; then the collection
//! spares what the save needs, by the intent, or by the head if the save ended meanwhile (intents are read before heads, and
//! removed after the head is put). Or it put it later; then the sweep was there already, and the save relied on nothing that it
//! names. Nobody waits for anybody, and no clock takes part in the argument.
//!
//! Clocks matter for those who die. What a dead process left would stay for ever, so intents and sweeps older than a day, by
//! the time that the store gives them, no longer count. So that no living process is taken for a dead one, every operation
//! looks at its own clock and gives up, before it publishes or removes anything, when it has taken an hour.
//!
//! Superseded heads stay for an hour, because who lists a folder while one file is made and another removed may see neither.
//! A removed session leaves a head that says so for a day, so that its numbers are not used twice.
//!
//! # What others may have put there
//!
//! Whoever can write to a store can destroy what is in it, and no more than that. In a folder no link is followed: what is
//! behind one is neither read, written nor removed, and only regular files are opened (`local.rs`). Lengths are compared with
//! what refers to them before anything is read. A head that cannot be read, or cannot be true, is named, and hides no other
//! session; what it may need is spared: what it lists, or, where it lists nothing, all that was stored before it. Numbers of
//! saves have twelve digits, so that none can be used up. An older save in the place of a newer one looks like it: only who
//! has seen the newer one can tell.
//!
//! `interleavings.rs` runs this protocol under every order of requests that a random search finds, with requests that fail
//! before, after, or hours before they are carried out, processes that are killed, and hours that pass.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod address;
mod blocking;
mod bring;
mod contents;
mod error;
mod files;
mod head;
mod history;
mod hold;
#[cfg(test)]
mod interleavings;
mod key;
mod listing;
#[cfg(unix)]
mod local;
mod objects;
mod place;
mod read;
mod remove;
mod retention;
mod save;
mod shelf;
mod store;
mod surroundings;
mod sweep;
mod sweeping;
mod transfer;
mod verify;

pub use contents::{Contents, ReadContents, plain};
pub use error::StoreError;
pub use files::Files;
pub use head::{BlobReference, DocumentError, Summary};
pub use key::{Generation, Mark};
pub use listing::{Entry, Listing, Statistics, Unread};
pub use place::{StoreSink, StoreSource};
pub use read::Opened;
pub use retention::{Prune, Retention};
pub use save::{Draft, Expected, Saved};
pub use shelf::StoreShelf;
pub use store::SessionStore;
pub use sweep::{Collected, Collection};
pub use transfer::Exported;
pub use verify::Verification;
