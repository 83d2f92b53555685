//! A part file: what has come of a file so far, and its SHA-256.
//!
//! Going on with a part starts a little before its end. What comes then must repeat what is there: a server that ignores
//! the range starts over at byte 0, and a file that was replaced in the meantime has other bytes. Both are noticed before
//! anything is appended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use intact_base::files::own_file;
use intact_format::regular;

/// Bytes that are asked for again.
const OVERLAP: u64 = 4096;
const BLOCK: usize = 1 << 20;

/// A part file, open for appending.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    size: u64,
    have: u64,
    hasher: Sha256,
    /// The last bytes that are here, as long as the server has not repeated them.
    tail: Vec<u8>,
    /// What the server has sent of them.
    repeated: Vec<u8>,
}

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// They belong here.
    Fitting,
    /// More than the file has.
    TooMany,
    /// They do not continue what was here, which has been thrown away.
    Foreign,
}

impl Part {
    /// Opens the part of a file of `size` bytes, or starts it. Something else of that name, such as a link, is not written to:
    /// it is removed.
    pub(super) fn open(path: &Path, size: u64) -> io::Result<Self> {
        let file = own_file(path)?;
        let have = file.metadata()?.len();
        let mut part =
            Self { file, size, have, hasher: Sha256::new(), tail: Vec::new(), repeated: Vec::new() };
        if have > size {
            part.empty()?;
        }
        part.hash_what_is_here()?;
        Ok(part)
    }

    /// Bytes that are here.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// Whether all bytes are here.
    pub(super) fn is_whole(&self) -> bool {
        self.have == self.size
    }

    /// Where to go on: the first byte to ask for.
    pub(super) fn resume(&mut self) -> io::Result<u64> {
        self.repeated.clear();
        self.tail.clear();
        if self.have <= OVERLAP {
            self.empty()?;
            return Ok(0);
        }
        let start = self.have - OVERLAP;
        self.file.seek(SeekFrom::Start(start))?;
        self.tail.resize(usize::try_from(OVERLAP).unwrap_or_default(), 0);
        self.file.read_exact(&mut self.tail)?;
        Ok(start)
    }

    /// Takes bytes from the server, in their order.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<Taken> {
        if self.tail.is_empty() {
            return self.append(bytes);
        }
        let missing = self.tail.len() - self.repeated.len();
        let (again, fresh) = bytes.split_at(missing.min(bytes.len()));
        self.repeated.extend_from_slice(again);
        if self.repeated.len() < self.tail.len() {
            return Ok(Taken::Fitting);
        }
        let tail = std::mem::take(&mut self.tail);
        let repeated = std::mem::take(&mut self.repeated);
        if tail == repeated {
            return self.append(fresh);
        }
        let restarted = self.starts_with(&repeated)?;
        self.empty()?;
        if !restarted {
            return Ok(Taken::Foreign);
        }
        self.append(&repeated)?;
        self.append(fresh)
    }

    /// Throws away what is here.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.have = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    /// SHA-256 of what is here, which is on the disk when this returns.
    pub(super) fn finish(self) -> io::Result<String> {
        self.file.sync_all()?;
        Ok(format!("{:x}", self.hasher.finalize()))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<Taken> {
        if bytes.len() as u64 > self.size - self.have {
            self.empty()?;
            return Ok(Taken::TooMany);
        }
        self.file.seek(SeekFrom::Start(self.have))?;
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(Taken::Fitting)
    }

    fn starts_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let mut head = vec![0; bytes.len()];
        self.file.rewind()?;
        self.file.read_exact(&mut head)?;
        Ok(head == bytes)
    }

    fn hash_what_is_here(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        let mut block = vec![0; BLOCK];
        loop {
            match self.file.read(&mut block)? {
                0 => return Ok(()),
                read => self.hasher.update(&block[..read]),
            }
        }
    }
}

/// SHA-256 of a file, in hexadecimal. `at` is told how many bytes have been read.
pub fn sha256_of(path: &Path, at: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut file = regular::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut done = 0;
    loop {
        let read = file.read(&mut block)?;
        at(done);
        if read == 0 {
            return Ok(format!("{:x}", hasher.finalize()));
        }
        hasher.update(&block[..read]);
        done += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that do not repeat: the start of a file that does looks like a later part of it.
    fn content(length: usize) -> Vec<u8> {
        (0..length as u64).map(scattered).collect()
    }

    fn scattered(at: u64) -> u8 {
        let once = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((once ^ (once >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56) as u8
    }

    fn sha256(bytes: &[u8]) -> String {
        format!("{:x}", Sha256::digest(bytes))
    }

    proptest! {
        #[test]
        fn cut_anywhere_and_sent_in_any_blocks_the_whole_comes_together(
            length in 1_usize..40_000,
            cuts in prop::collection::vec(0_usize..40_000, 0..6),
            block in 1_usize..9_000,
            ignores_ranges in any::<bool>(),
        ) {
            let content = content(length);
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("part");
            for cut in cuts.into_iter().chain([length]) {
                let mut part = Part::open(&path, length as u64).expect("open");
                if part.is_whole() {
                    break;
                }
                let asked = usize::try_from(part.resume().expect("resume")).expect("small");
                let start = if ignores_ranges { 0 } else { asked };
                for bytes in content[start..cut.clamp(start, length)].chunks(block) {
                    prop_assert_eq!(part.take(bytes).expect("taken"), Taken::Fitting);
                }
            }
            let part = Part::open(&path, length as u64).expect("open");
            prop_assert!(part.is_whole());
            prop_assert_eq!(part.finish().expect("hashed"), sha256(&content));
        }
    }

    #[test]
    fn a_part_of_another_file_is_thrown_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part");
        std::fs::write(&path, vec![9; 10_000]).expect("written");
        let content = content(20_000);
        let mut part = Part::open(&path, 20_000).expect("open");
        let start = usize::try_from(part.resume().expect("resume")).expect("small");
        assert_eq!(part.take(&content[start..]).expect("taken"), Taken::Foreign);
        assert_eq!(part.have(), 0);
    }

    #[test]
    fn bytes_beyond_the_end_are_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part");
        let mut part = Part::open(&path, 10).expect("open");
        assert_eq!(part.take(&[1; 11]).expect("taken"), Taken::TooMany);
        assert_eq!(std::fs::metadata(&path).expect("a file").len(), 0);

        std::fs::write(&path, [1; 11]).expect("written");
        assert_eq!(Part::open(&path, 10).expect("open").have(), 0, "a part longer than its file is none");
    }
}
