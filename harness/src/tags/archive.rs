//! The libraries in an archive, whatever it is packed with. Nothing else of it is looked at, and none of its names says where
//! anything is written.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Component, Path};
use std::rc::Rc;

use flate2::read::GzDecoder;
use thiserror::Error;
use zip::ZipArchive;

/// Most bytes of what is taken out of one archive: the largest so far, with GPU backends, have a tenth of that.
const LARGEST: u64 = 4 << 30;
/// Links that are followed from one name to the next.
const LINKS: usize = 8;

/// Libraries by their names. Names that are links to one file have the same bytes.
pub(super) type Libraries = BTreeMap<String, Rc<[u8]>>;

/// Why an archive gives no libraries.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is packed in no known way.
    #[error("it is neither a .tar.gz nor a .zip, by its first bytes")]
    Unknown,
    /// It is cut, or damaged.
    #[error("it is cut or damaged: {0}")]
    Damaged(#[from] io::Error),
    /// A name in it leads out of the folder that it is unpacked in.
    #[error("it holds {0:?}, which leads out of its own folder: nobody packs that by mistake")]
    Outside(String),
    /// A library of it is a link to something else than a library beside it.
    #[error("its {name} is a link to {target:?}, which is not a library beside it")]
    Link {
        /// The library.
        name: String,
        /// Where it leads.
        target: String,
    },
    /// More than any such archive.
    #[error("its libraries have more than {LARGEST} bytes")]
    TooLarge,
    /// No folder of it has a libllama.
    #[error("no libllama is in it{0}")]
    NoLibrary(String),
    /// Several have.
    #[error("several folders of it have a libllama: {0}")]
    Several(String),
}

/// What a name stands for.
enum Content {
    File(Rc<[u8]>),
    /// A link, to this.
    Link(String),
}

/// The libraries in the one folder of an archive that has a `libllama`; in the one that is named, where one is.
pub(super) fn libraries(archive: &[u8], folder: Option<&str>) -> Result<Libraries, ArchiveError> {
    let mut found = Found { folders: BTreeMap::new(), left: LARGEST };
    match archive {
        [0x1f, 0x8b, ..] => found.tar(archive)?,
        [b'P', b'K', 3, 4, ..] => found.zip(archive)?,
        _ => return Err(ArchiveError::Unknown),
    }
    let has_llama = |names: &BTreeMap<String, Content>| names.keys().any(|name| is_llama(name));
    let wanted = |name: &str| folder.is_none_or(|folder| folder == name);
    let mut with: Vec<_> =
        found.folders.into_iter().filter(|(name, names)| wanted(name) && has_llama(names)).collect();
    match with.len() {
        0 => Err(ArchiveError::NoLibrary(folder.map_or_else(String::new, |name| format!(", in {name}")))),
        1 => resolved(&with.remove(0).1),
        _ => {
            let names: Vec<String> = with.into_iter().map(|(name, _)| name).collect();
            Err(ArchiveError::Several(names.join(", ")))
        }
    }
}

/// Whether a file is a library by its name, whatever version stands in it.
pub(super) fn is_library(name: &str) -> bool {
    let version = |rest: &str| rest.chars().all(|char| char.is_ascii_digit() || char == '.');
    [".so", ".dylib", ".dll"].iter().any(|suffix| {
        name.split_once(suffix).is_some_and(|(before, rest)| !before.is_empty() && version(rest))
    })
}

/// Whether it is llama.cpp's own.
pub(super) fn is_llama(name: &str) -> bool {
    let plain = name.strip_prefix("lib").unwrap_or(name);
    is_library(name) && plain.strip_prefix("llama").is_some_and(|rest| rest.starts_with('.'))
}

/// Every library of an archive, by its folder.
struct Found {
    folders: BTreeMap<String, BTreeMap<String, Content>>,
    left: u64,
}

impl Found {
    fn tar(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut archive = tar::Archive::new(GzDecoder::new(bytes));
        for entry in archive.entries()? {
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = entry.header().entry_type();
            if let Some((folder, name)) = place(&path)? {
                let content = if kind.is_symlink() || kind.is_hard_link() {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target).into_owned();
                    // A hard link is named as the archive names it; a symbolic one as the folder does.
                    let of_folder = format!("{folder}/");
                    let within = if kind.is_hard_link() { target.strip_prefix(&of_folder) } else { None };
                    Content::Link(within.map_or(target.clone(), str::to_owned))
                } else if kind.is_file() {
                    let size = entry.size();
                    Content::File(self.read(entry, size)?)
                } else {
                    continue;
                };
                self.folders.entry(folder).or_default().insert(name, content);
            }
        }
        // Its own checksum stands at the end.
        io::copy(&mut archive.into_inner(), &mut io::sink())?;
        Ok(())
    }

    fn zip(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(io::Error::from)?;
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(io::Error::from)?;
            let Some((folder, name)) = place(&entry.name().map_err(io::Error::from)?.replace('\\', "/"))?
            else {
                continue;
            };
            let (is_link, size) = (entry.is_symlink(), entry.size());
            let bytes = self.read(entry, size)?;
            let content = match is_link {
                true => Content::Link(String::from_utf8_lossy(&bytes).into_owned()),
                false => Content::File(bytes),
            };
            self.folders.entry(folder).or_default().insert(name, content);
        }
        Ok(())
    }

    fn read(&mut self, entry: impl Read, size: u64) -> Result<Rc<[u8]>, ArchiveError> {
        if size > self.left {
            return Err(ArchiveError::TooLarge);
        }
        let mut bytes = Vec::new();
        // A sum is only looked at behind the last byte, and one more byte would be too many.
        let came = entry.take(size.saturating_add(1)).read_to_end(&mut bytes)? as u64;
        if came != size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.left -= size;
        Ok(bytes.into())
    }
}

/// The folder and the name of a library; `None` for what is none.
fn place(path: &str) -> Result<Option<(String, String)>, ArchiveError> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(ArchiveError::Outside(path.to_owned()));
            }
        }
    }
    let Some(name) = parts.pop().filter(|name| is_library(name)) else { return Ok(None) };
    if name.contains(['\\', ':', '\0']) {
        return Err(ArchiveError::Outside(path.to_owned()));
    }
    Ok(Some((parts.join("/"), name)))
}

/// The same without links.
fn resolved(names: &BTreeMap<String, Content>) -> Result<Libraries, ArchiveError> {
    let of = |name: &str| {
        let mut at = name;
        for _ in 0..=LINKS {
            match names.get(at) {
                Some(Content::File(bytes)) => return Ok(Rc::clone(bytes)),
                Some(Content::Link(target)) => at = target.strip_prefix("./").unwrap_or(target),
                None => break,
            }
        }
        Err(ArchiveError::Link { name: name.to_owned(), target: at.to_owned() })
    };
    names.keys().map(|name| Ok((name.clone(), of(name)?))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// What an entry of a made-up archive is.
    #[derive(Clone, Copy)]
    pub(in super::super) enum Entry<'a> {
        File(&'a [u8]),
        Link(&'a str),
        HardLink(&'a str),
    }
    use Entry::{File, HardLink, Link};

    /// A .tar.gz of these entries, as raw names.
    pub(in super::super) fn tar_gz(entries: &[(&str, Entry<'_>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, entry) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
            let (kind, bytes, target): (_, &[u8], _) = match entry {
                File(bytes) => (tar::EntryType::Regular, bytes, ""),
                Link(target) => (tar::EntryType::Symlink, b"", *target),
                HardLink(target) => (tar::EntryType::Link, b"", *target),
            };
            header.as_gnu_mut().expect("gnu").linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, bytes).expect("appended");
        }
        builder.into_inner().expect("a stream").finish().expect("bytes")
    }

    /// A .zip of these.
    pub(in super::super) fn zipped(entries: &[(&str, Entry<'_>)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().unix_permissions(0o644);
        for (name, entry) in entries {
            match entry {
                File(bytes) => {
                    writer.start_file(*name, options).expect("begun");
                    writer.write_all(bytes).expect("written");
                }
                Link(target) | HardLink(target) => {
                    writer.add_symlink(*name, *target, options).expect("written");
                }
            }
        }
        writer.finish().expect("bytes").into_inner()
    }

    fn names(libraries: &Libraries) -> Vec<(&str, &[u8])> {
        libraries.iter().map(|(name, bytes)| (name.as_str(), &**bytes)).collect()
    }

    #[test]
    fn every_shape_that_releases_have_had_gives_its_libraries_and_nothing_else() {
        let linked = |folder: &str| -> Vec<(String, Entry<'static>)> {
            vec![
                (format!("{folder}LICENSE"), File(b"text")),
                (format!("{folder}llama-cli"), File(b"a program")),
                (format!("{folder}libllama.so"), Link("libllama.so.0")),
                (format!("{folder}libllama.so.0"), Link("./libllama.so.0.0.8816")),
                (format!("{folder}libllama.so.0.0.8816"), File(b"llama")),
                (format!("{folder}libggml-cpu-haswell.so"), File(b"haswell")),
            ]
        };
        for folder in ["./llama-b8816/", "llama-b8816/", "build/bin/", "./", ""] {
            let entries = linked(folder);
            let entries: Vec<(&str, Entry<'_>)> =
                entries.iter().map(|(name, entry)| (name.as_str(), *entry)).collect();
            for archive in [tar_gz(&entries), zipped(&entries)] {
                let found = libraries(&archive, None).expect(folder);
                let expected: [(&str, &[u8]); 4] = [
                    ("libggml-cpu-haswell.so", b"haswell"),
                    ("libllama.so", b"llama"),
                    ("libllama.so.0", b"llama"),
                    ("libllama.so.0.0.8816", b"llama"),
                ];
                assert_eq!(names(&found), expected, "{folder}");
                assert!(Rc::ptr_eq(&found["libllama.so"], &found["libllama.so.0.0.8816"]));
            }
        }
        // A hard link, as tar makes of the second name of a file.
        let hard =
            tar_gz(&[("l/libllama.so.0", File(b"llama")), ("l/libllama.so", HardLink("l/libllama.so.0"))]);
        assert_eq!(names(&libraries(&hard, None).expect("read"))[0], ("libllama.so", &b"llama"[..]));
        // Windows: flat, and other names.
        let flat = zipped(&[("llama.dll", File(b"llama")), ("ggml-base.dll", File(b"base"))]);
        assert_eq!(libraries(&flat, None).expect("read").len(), 2);
        // A package that carries builds for several machines.
        let both = [("p/x64/libllama.so", File(b"one")), ("p/arm64/libllama.so", File(b"other"))];
        let error = libraries(&tar_gz(&both), None).expect_err("two");
        assert!(matches!(error, ArchiveError::Several(_)), "{error}");
        let one = libraries(&tar_gz(&both), Some("p/arm64")).expect("the one that is named");
        assert_eq!(names(&one), [("libllama.so", &b"other"[..])]);
    }

    #[test]
    fn what_leads_out_is_cut_or_is_no_archive_gives_nothing() {
        let sound = [("l/libllama.so", File(&[7; 5000])), ("l/libggml.so", File(b"ggml"))];
        for (entries, what) in [
            (vec![("l/../../libllama.so", File(b"x"))], "leads out"),
            (vec![("/l/libllama.so", File(b"x"))], "leads out"),
            (vec![("l/libllama.so", File(b"x")), ("../libggml.so", File(b"x"))], "leads out"),
            (vec![("l/libllama.so", Link("/etc/passwd"))], "is a link to"),
            (vec![("l/libllama.so", Link("../../libllama.so"))], "is a link to"),
            (vec![("l/libllama.so", Link("libllama.so"))], "is a link to"),
            (vec![("l/libllama.so", Link(""))], "is a link to"),
            (vec![("l/libllama.so.txt", File(b"x"))], "no libllama"),
            (vec![], "no libllama"),
        ] {
            for archive in [tar_gz(&entries), zipped(&entries)] {
                // An empty .zip begins with its end.
                let error = libraries(&archive, None).expect_err(what).to_string();
                assert!(error.contains(what) || entries.is_empty(), "{error}, and not {what}");
            }
        }
        for archive in [tar_gz(&sound), zipped(&sound)] {
            for length in [0, 1, 2, 30, archive.len() / 2, archive.len() - 1] {
                let error = libraries(&archive[..length], None).expect_err("cut");
                assert!(
                    matches!(error, ArchiveError::Damaged(_) | ArchiveError::Unknown),
                    "{length} of {}: {error}",
                    archive.len()
                );
            }
            let mut flipped = archive.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 0x20;
            // Not every bit of an archive counts; what comes out is never something else.
            if let Ok(found) = libraries(&flipped, None) {
                assert!(found.values().all(|bytes| **bytes == [7; 5000] || **bytes == *b"ggml"));
            }
        }
        assert!(matches!(libraries(b"a page of the web", None), Err(ArchiveError::Unknown)));
    }

    #[test]
    fn libraries_are_told_by_their_names() {
        for (name, library, llama) in [
            ("libllama.so", true, true),
            ("libllama.so.0.0.8816", true, true),
            ("libllama.v0.5.0.so", true, true),
            ("libllama.0.dylib", true, true),
            ("llama.dll", true, true),
            ("libllama-common.so", true, false),
            ("libggml-cpu-x64.so", true, false),
            ("libllama.so.txt", false, false),
            ("llama-cli", false, false),
            (".so", false, false),
        ] {
            assert_eq!((is_library(name), is_llama(name)), (library, llama), "{name}");
        }
    }
}
