//! What kind of file something is, by its first bytes.

use std::io::Read;
use std::path::Path;

use intact_format::foreign::ForeignKind;
use intact_format::image::sidecar::SIDECAR_MAGIC;
use intact_format::regular;

use super::Failure;

/// A kind of file that intact knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A session file of intact. Also what nothing else is: reading it says what is wrong with it.
    Session,
    /// A KV image beside a session file.
    Sidecar,
    /// A state file of llama.cpp.
    Foreign(ForeignKind),
    /// A model.
    Model,
    /// A bundle: a tar archive.
    Bundle,
}

/// Bytes that tell the kind: the first block of a tar archive is the longest of what does.
const HEAD: u64 = 512;

impl Kind {
    /// The kind of the file at `path`.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error| Failure::unreadable(path, &error);
        let mut head = Vec::new();
        let file = regular::open(path).map_err(unreadable)?;
        file.take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
        Ok(Self::of_head(&head))
    }

    fn of_head(head: &[u8]) -> Self {
        match ForeignKind::of(head) {
            Some(kind) => Self::Foreign(kind),
            None if head.starts_with(&SIDECAR_MAGIC) => Self::Sidecar,
            None if head.get(257..262) == Some(b"ustar") => Self::Bundle,
            None if head.starts_with(b"GGUF") => Self::Model,
            None => Self::Session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_kind() {
        for (head, kind) in [
            (b"INTACTKV".as_slice(), Kind::Sidecar),
            (b"qsgg\x04\0\0\0", Kind::Foreign(ForeignKind::SequenceFile)),
            (b"nsgg\x0b\0\0\0", Kind::Foreign(ForeignKind::SessionFile)),
            (b"GGUF\x03\0\0\0", Kind::Model),
            (b"{\"Format", Kind::Session),
            (b"", Kind::Session),
            (&[&[b'x'; 257][..], b"ustar  \0"].concat(), Kind::Bundle),
            (&[b'x'; 512], Kind::Session),
        ] {
            assert_eq!(Kind::of_head(head), kind, "{head:?}");
        }
    }
}
