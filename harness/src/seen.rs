//! What this user has seen of sessions in stores: the last save of each. A store cannot tell that somebody has put an older
//! save in the place of a newer one, and a signature cannot either; whoever remembers the newer one can.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::image::ChunkId;
use intact_format::regular;
use intact_seal::Form;
use intact_store::{Generation, Opened};
use serde::{Deserialize, Serialize};

use crate::files::write_whole;
use crate::home;

/// Bytes of what is remembered of one session at most.
const LONGEST: u64 = 4096;

/// Where it is remembered: a file for each session of each store, named by a hash.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    folder: PathBuf,
}

/// The last save that was seen of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    version: u32,
    save: Generation,
    /// The hash of its document as it was stored, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    sealed: bool,
}

/// How what a store has differs from what was seen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    #[error(
        "it is at save {found}, and save {seen} was seen here before: somebody has put an older one in its place, or it was \
         removed and started again"
    )]
    Older { seen: Generation, found: Generation },
    #[error(
        "it is at save {save}, and that was another one when it was seen here before: somebody has replaced it"
    )]
    Other { save: Generation },
    #[error(
        "it is not sealed, and was when it was seen here before: somebody has put another one in its place"
    )]
    Unsealed,
}

impl Seen {
    /// What this user remembers, in `$INTACT_HOME/seen`, else `~/.cache/intact/seen`; nothing where no home folder is known.
    pub(crate) fn by_this_user() -> Option<Self> {
        home::folder("seen").map(Self::within)
    }

    /// What is remembered in a folder.
    pub(crate) const fn within(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What there is to be said of a session that a store has, before it is believed.
    pub(crate) fn doubt(&self, store: &str, opened: &Opened) -> Option<Doubt> {
        let last = self.last(store, opened.session.as_str())?;
        let found = opened.generation;
        if last.sealed && Form::of(&opened.document) != Form::Sealed {
            Some(Doubt::Unsealed)
        } else if found < last.save {
            Some(Doubt::Older { seen: last.save, found })
        } else {
            let is_other = last.document.is_some_and(|seen| seen != hash_of(opened));
            (found == last.save && is_other).then_some(Doubt::Other { save: found })
        }
    }

    /// A session was read from a store.
    pub(crate) fn read(&self, store: &str, opened: &Opened) {
        let sealed = Form::of(&opened.document) == Form::Sealed;
        let last = Last { version: 1, save: opened.generation, document: Some(hash_of(opened)), sealed };
        self.remember(store, opened.session.as_str(), &last);
    }

    /// A session was saved there by this user.
    pub(crate) fn saved(&self, store: &str, session: &str, save: Generation, sealed: bool) {
        self.remember(store, session, &Last { version: 1, save, document: None, sealed });
    }

    fn last(&self, store: &str, session: &str) -> Option<Last> {
        let file = self.file(store, session);
        fs::symlink_metadata(&file).ok().filter(|found| found.is_file() && found.len() <= LONGEST)?;
        let last: Last = serde_json::from_slice(&regular::read(file).ok()?).ok()?;
        Some(last).filter(|last| last.version == 1)
    }

    /// What cannot be remembered cannot be noticed later; that is no reason not to work now.
    fn remember(&self, store: &str, session: &str, last: &Last) {
        let file = self.file(store, session);
        if let (Ok(()), Ok(text)) = (fs::create_dir_all(&self.folder), serde_json::to_vec(last)) {
            let _not_remembered = write_whole(&file, text);
        }
    }

    fn file(&self, store: &str, session: &str) -> PathBuf {
        let place = fs::canonicalize(Path::new(store)).map_or_else(|_| store.into(), PathBuf::into_os_string);
        let name = [place.as_encoded_bytes(), b"\0", session.as_bytes()].concat();
        self.folder.join(format!("{:.40}.json", blake3::hash(&name).to_hex()))
    }
}

fn hash_of(opened: &Opened) -> String {
    ChunkId::of(&opened.document).to_string()
}

#[cfg(test)]
mod tests {
    use intact_format::session_id::SessionId;
    use intact_store::Summary;

    use super::*;

    fn opened(save: u64, document: &[u8]) -> Opened {
        Opened {
            session: SessionId::new("chat").unwrap(),
            generation: Generation(save),
            summary: Summary::default(),
            document: document.to_vec(),
            chunks: Vec::new(),
        }
    }

    #[test]
    fn an_older_save_another_one_of_the_same_number_and_one_that_is_not_sealed_any_more_are_noticed() {
        const SEALED: &[u8] = b"age-encryption.org/v1 one";
        const OTHER: &[u8] = b"age-encryption.org/v1 two";
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::within(folder.path().join("seen"));
        assert_eq!(seen.doubt("s3://a", &opened(1, SEALED)), None, "it was never seen");
        seen.read("s3://a", &opened(3, SEALED));
        let [older, found] = [2, 3].map(Generation);
        let cases = [
            (opened(3, SEALED), None),
            (opened(4, OTHER), None),
            (opened(2, SEALED), Some(Doubt::Older { seen: found, found: older })),
            (opened(3, OTHER), Some(Doubt::Other { save: found })),
            (opened(4, b"{}"), Some(Doubt::Unsealed)),
        ];
        for (opened, doubt) in cases {
            assert_eq!(seen.doubt("s3://a", &opened), doubt, "{opened:?}");
            assert_eq!(seen.doubt("s3://b", &opened), None, "it is another store");
        }
        seen.saved("s3://a", "chat", Generation(1), false);
        assert_eq!(seen.doubt("s3://a", &opened(1, b"{}")), None, "the user's own save is believed");
    }
}
