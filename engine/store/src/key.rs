//! Where things are in a store: the names of its objects.

use std::fmt;
use std::str::FromStr;

use intact_format::image::ChunkId;
use intact_format::session_id::SessionId;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

/// A number that nobody else draws: 128 random bits, 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mark(u128);

/// The how-manieth save of a session this is, from 1. A number is never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// The folder of a session: a hash of its id, because an id may hold what a file system or a URL cannot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey([u8; 20]);

/// The name of a stored payload: its hash, and a mark where the plain name was about to be removed when it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BlobName {
    pub(crate) id: ChunkId,
    pub(crate) mark: Option<Mark>,
}

/// An object of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// `store.json`: says that this is a store, and of which version.
    Marker,
    /// `chunks/<2 digits>/<hash>[.<mark>]`: a chunk, or a session document.
    Blob(BlobName),
    /// `sessions/<hash of the id>/<generation>.json`: the latest one is the session.
    Head(SessionKey, Generation),
    /// `intents/<mark>.json`: what a save under way relies on.
    Intent(Mark),
    /// `sweeps/<mark>.json`: what a garbage collection under way is about to remove.
    Sweep(Mark),
}

/// The folders that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folder {
    Blobs,
    Sessions,
    Session(SessionKey),
    Intents,
    Sweeps,
}

impl Mark {
    /// The mark of these bits.
    pub(crate) const fn new(bits: u128) -> Self {
        Self(bits)
    }
}

impl Generation {
    /// The greatest one, by the twelve digits that its name has. Nobody reaches it by saving.
    pub(crate) const GREATEST: Self = Self(999_999_999_999);

    /// The one after this; none after the greatest.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        if self.0 < Self::GREATEST.0 { Some(Self(self.0 + 1)) } else { None }
    }

    /// Can a save have this number?
    const fn is_possible(self) -> bool {
        self.0 > 0 && self.0 <= Self::GREATEST.0
    }
}

impl SessionKey {
    pub(crate) fn of(id: &SessionId) -> Self {
        let ChunkId(hash) = ChunkId::of(id.as_str().as_bytes());
        let mut key = [0; 20];
        key.copy_from_slice(&hash[..20]);
        Self(key)
    }
}

impl BlobName {
    pub(crate) const fn plain(id: ChunkId) -> Self {
        Self { id, mark: None }
    }
}

impl Folder {
    pub(crate) fn path(self) -> String {
        match self {
            Self::Blobs => "chunks".into(),
            Self::Sessions => "sessions".into(),
            Self::Session(key) => format!("sessions/{key}"),
            Self::Intents => "intents".into(),
            Self::Sweeps => "sweeps".into(),
        }
    }
}

impl Key {
    /// The key of a path below the store's root; none for what is not the store's.
    pub(crate) fn parse(path: &Path) -> Option<Self> {
        let parts: Vec<_> = path.parts().collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let key = match parts.as_slice() {
            ["store.json"] => Self::Marker,
            ["chunks", _, name] => Self::Blob(name.parse().ok()?),
            ["sessions", session, file] => {
                let generation = Generation(json_stem(file)?.parse().ok()?);
                // An absurd number is not a store's, and would be in the way of all others.
                Self::Head(session.parse().ok()?, Some(generation).filter(|number| number.is_possible())?)
            }
            ["intents", file] => Self::Intent(json_stem(file)?.parse().ok()?),
            ["sweeps", file] => Self::Sweep(json_stem(file)?.parse().ok()?),
            _ => return None,
        };
        // Only the one spelling of a key is that key.
        (key.to_string() == path.as_ref()).then_some(key)
    }
}

fn json_stem(file: &str) -> Option<&str> {
    file.strip_suffix(".json")
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker => f.write_str("store.json"),
            Self::Blob(name) => {
                let hash = name.id.to_string();
                write!(f, "chunks/{}/{name}", &hash[..2])
            }
            Self::Head(session, Generation(number)) => write!(f, "sessions/{session}/{number:012}.json"),
            Self::Intent(mark) => write!(f, "intents/{mark}.json"),
            Self::Sweep(mark) => write!(f, "sweeps/{mark}.json"),
        }
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            None => write!(f, "{}", self.id),
            Some(mark) => write!(f, "{}.{mark}", self.id),
        }
    }
}

impl FromStr for BlobName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (id, mark) = match text.split_once('.') {
            None => (text, None),
            Some((id, mark)) => (id, Some(mark.parse()?)),
        };
        Ok(Self { id: id.parse().map_err(|_| Malformed)?, mark })
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

impl FromStr for SessionKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut key = [0; 20];
        if text.len() != 40 || !text.is_ascii() {
            return Err(Malformed);
        }
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| Malformed)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| Malformed)?;
        }
        Ok(Self(key))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mark({self})")
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is no name of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mark is 32 lower-case hexadecimal digits")]
pub struct Malformed;

impl FromStr for Mark {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mark = u128::from_str_radix(text, 16).map(Self).map_err(|_| Malformed)?;
        if mark.to_string() == text { Ok(mark) } else { Err(Malformed) }
    }
}

impl TryFrom<String> for Mark {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = Key> {
        let mark = any::<u128>().prop_map(Mark);
        let id = any::<[u8; 32]>().prop_map(ChunkId);
        prop_oneof![
            Just(Key::Marker),
            (id, proptest::option::of(mark.clone())).prop_map(|(id, mark)| Key::Blob(BlobName { id, mark })),
            (any::<[u8; 20]>(), 1..=Generation::GREATEST.0)
                .prop_map(|(s, n)| Key::Head(SessionKey(s), Generation(n))),
            mark.clone().prop_map(Key::Intent),
            mark.prop_map(Key::Sweep),
        ]
    }

    proptest! {
        #[test]
        fn every_key_is_read_back_from_its_path(key in keys()) {
            let path = Path::parse(key.to_string()).unwrap();
            prop_assert_eq!(Key::parse(&path), Some(key));
        }

        #[test]
        fn whatever_else_lies_in_a_store_is_no_key_of_it(text in "[a-z0-9/.]{1,90}") {
            if let Ok(path) = Path::parse(&text) && let Some(key) = Key::parse(&path) {
                prop_assert_eq!(key.to_string(), text);
            }
        }
    }

    #[test]
    fn no_head_has_an_absurd_number() {
        let session = SessionKey([7; 20]);
        for number in [0, Generation::GREATEST.0 + 1, u64::MAX] {
            let path = Path::parse(Key::Head(session, Generation(number)).to_string()).unwrap();
            assert_eq!(Key::parse(&path), None, "{number}");
        }
        assert_eq!(Generation::GREATEST.next(), None);
        assert_eq!(Generation(1).next(), Some(Generation(2)));
    }

    #[test]
    fn a_chunk_in_the_folder_of_another_is_none() {
        let name = BlobName::plain(ChunkId::of(b"x"));
        let elsewhere = Path::parse(format!("chunks/zz/{name}")).unwrap();
        assert_eq!(Key::parse(&elsewhere), None);
    }
}
