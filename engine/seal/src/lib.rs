//! Session files at rest: encrypted, compressed, or both.
//!
//! A session is a document and chunks of KV, and this crate changes the form of each. A *wrapped* document is an
//! envelope: the document as it was, and for every chunk the form in which it is stored. A *sealed* document is an
//! envelope encrypted with [age](https://age-encryption.org), for a passphrase or for recipients, so that any age tool can
//! open it. Chunks of a sealed session are encrypted one by one, with keys derived from a secret that only the envelope
//! holds.
//!
//! What an onlooker learns from a sealed session: the name that it is kept under, which is its id unless the place is told
//! another one, how long its envelope is, and the number and lengths of its chunks. Not its history, its model, its
//! parameters, or which of its chunks a plain session has too: chunks are named by the hash of what is stored.
//!
//! Which sessions share chunks is for the user to choose. With [`Sharing::Session`] each has a secret of its own: equal
//! chunks of two sessions look unrelated, and are stored twice. With [`Sharing::Store`] sessions that are given the same
//! secret store an equal chunk once; who can see the store then sees which sessions have chunks in common, and who has the
//! secret can tell whether a chunk that he can guess is there.
//!
//! Encryption says for whom a session is, and not by whom: whoever has the public key of a recipient can seal one for him. With
//! a [`Signer`] an envelope says that too, and [`Keys::trusting`] has only such sessions accepted. Neither keeps an older
//! save of a session from being put in the place of a newer one.
//!
//! What is opened is trusted no more than a plain file: the document has its digest, every chunk its hash, and lengths are
//! bounded by what is stored before anything is allocated.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod bundle;
mod chunk;
mod document;
mod envelope;
mod error;
mod key;
mod opener;
mod plane;
mod sealer;
mod shelf;
mod sign;

pub use age::secrecy::ExposeSecret;
pub use bundle::{BundleSink, BundleSource};
pub use document::Form;
pub use error::SealError;
pub use key::{KeyError, Keys, Lock, Recipient, generate};
pub use opener::{Opened, Origin, SealedSource};
pub use sealer::{Compression, SealOptions, SealedSink, Sealer, Sharing};
pub use shelf::SealedShelf;
pub use sign::{Author, Signer};
