//! Files in a .zip, as far as archives of releases need it: stored or deflated, below 4 GiB, in one part.

use std::io::{self, Read};

use flate2::Crc;
use flate2::read::DeflateDecoder;

/// What records begin with.
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Lengths of the records without what varies.
const END_BYTES: usize = 22;
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// The longest comment behind the end record.
const COMMENT: usize = 0xffff;

/// A file that the directory of an archive names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    /// Its mode on Unix, where the archive was made there; else 0.
    pub(super) mode: u32,
    /// Bytes that it says it has.
    pub(super) size: u32,
    method: u16,
    sum: u32,
    packed: &'a [u8],
}

/// The files that the directory names.
pub(super) fn entries(archive: &[u8]) -> io::Result<Vec<Entry<'_>>> {
    let from = archive.len().saturating_sub(END_BYTES + COMMENT);
    let last = archive[from..].windows(END.len()).rposition(|window| window == END);
    let end = at(archive, from + last.ok_or_else(|| damaged("it has no directory"))?, END_BYTES)?;
    let (count, mut place) = (half(end, 10)?, word(end, 16)? as usize);
    let mut found = Vec::new();
    for _ in 0..count {
        let head = at(archive, place, ENTRY_BYTES)?;
        if !head.starts_with(&ENTRY) {
            return Err(damaged("its directory is cut"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|offset| half(head, offset).map(usize::from));
        let (name, behind) = (at(archive, place + ENTRY_BYTES, name?)?, extra? + comment?);
        let local = word(head, 42)? as usize;
        let own = at(archive, local, LOCAL_BYTES)?;
        if !own.starts_with(&LOCAL) {
            return Err(damaged("a file of it is not where its directory says"));
        }
        let begins = local + LOCAL_BYTES + usize::from(half(own, 26)?) + usize::from(half(own, 28)?);
        found.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            mode: word(head, 38)? >> 16,
            size: word(head, 24)?,
            method: half(head, 10)?,
            sum: word(head, 16)?,
            packed: at(archive, begins, word(head, 20)? as usize)?,
        });
        place += ENTRY_BYTES + name.len() + behind;
    }
    Ok(found)
}

impl Entry<'_> {
    /// Its bytes, which have the sum that the directory says.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One more would be too many already.
        let most = u64::from(self.size) + 1;
        match self.method {
            0 => self.packed.take(most).read_to_end(&mut bytes)?,
            8 => DeflateDecoder::new(self.packed).take(most).read_to_end(&mut bytes)?,
            _ => return Err(damaged("a file of it is packed in an unknown way")),
        };
        let mut sum = Crc::new();
        sum.update(&bytes);
        if bytes.len() as u64 != u64::from(self.size) || sum.sum() != self.sum {
            return Err(damaged("a file of it is not what its directory says"));
        }
        Ok(bytes)
    }
}

fn at(bytes: &[u8], from: usize, length: usize) -> io::Result<&[u8]> {
    let end = from.checked_add(length);
    end.and_then(|end| bytes.get(from..end)).ok_or_else(|| damaged("it ends early"))
}

fn half(bytes: &[u8], from: usize) -> io::Result<u16> {
    let found = bytes.get(from..).and_then(|bytes| bytes.first_chunk::<2>());
    found.map(|bytes| u16::from_le_bytes(*bytes)).ok_or_else(|| damaged("it ends early"))
}

fn word(bytes: &[u8], from: usize) -> io::Result<u32> {
    let found = bytes.get(from..).and_then(|bytes| bytes.first_chunk::<4>());
    found.map(|bytes| u32::from_le_bytes(*bytes)).ok_or_else(|| damaged("it ends early"))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// A .zip of these files: name, mode, bytes.
    pub(in super::super) fn zip(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, mode, bytes) in files {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).expect("written");
            let packed = encoder.finish().expect("packed");
            let mut sum = Crc::new();
            sum.update(bytes);
            let number = |number: usize| u32::try_from(number).expect("small").to_le_bytes();
            let sizes = [sum.sum().to_le_bytes(), number(packed.len()), number(bytes.len())].concat();
            let length = u16::try_from(name.len()).expect("short").to_le_bytes();
            let place = number(out.len());
            // Versions, flags, method, time and date; then sums and sizes, and the lengths of name and extra.
            let common = [&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..], &sizes, &length, &[0, 0]].concat();
            out.extend([&LOCAL[..], &common, name.as_bytes(), &packed].concat());
            directory.extend([&ENTRY[..], &[20, 3], &common, &[0; 6]].concat());
            directory.extend([&(mode << 16).to_le_bytes()[..], &place, name.as_bytes()].concat());
        }
        let count = u16::try_from(files.len()).expect("few").to_le_bytes();
        let number = |number: usize| u32::try_from(number).expect("small").to_le_bytes();
        let end =
            [&[0; 4][..], &count, &count, &number(directory.len()), &number(out.len()), &[0, 0]].concat();
        [out, directory, END.to_vec(), end].concat()
    }

    #[test]
    fn files_are_read_and_nothing_damaged_is_taken_for_whole() {
        let archive = zip(&[("a/b.so", 0o644, &[7; 5000]), ("c.so", 0o120_777, b"b.so")]);
        let found = entries(&archive).expect("read");
        let told: Vec<_> = found.iter().map(|entry| (entry.name.as_str(), entry.mode)).collect();
        assert_eq!(told, [("a/b.so", 0o644), ("c.so", 0o120_777)]);
        assert_eq!(
            (found[0].read().expect("whole"), found[1].read().expect("whole")),
            (vec![7; 5000], b"b.so".to_vec())
        );
        for at in 0..archive.len() {
            let mut flipped = archive.clone();
            flipped[at] ^= 0x55;
            for entry in entries(&flipped).unwrap_or_default() {
                if let Ok(bytes) = entry.read() {
                    assert!(bytes == [7; 5000] || bytes == b"b.so", "byte {at}");
                }
            }
            assert!(entries(&archive[..at]).is_err(), "cut at {at}");
        }
    }
}
