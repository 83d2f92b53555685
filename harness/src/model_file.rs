//! Why a model cannot be opened: what its file is, and what the worker wrote about it.

use std::io::Read;
use std::path::Path;

use intact_format::gguf::Gguf;
use intact_format::regular;

/// Lines of a log that are shown.
const SHOWN: usize = 3;
/// What lines of a log say that tell why something failed.
const TELLING: [&str; 11] = [
    "error",
    "fail",
    "unknown",
    "unsupported",
    "not supported",
    "invalid",
    "assert",
    "missing",
    "exceed",
    "corrupt",
    "out of memory",
];

/// Files that are taken for models, by how they begin, and what to do.
const OTHERS: [(&[u8], &str); 9] = [
    (
        b"version https://git-lfs",
        "it is a pointer of Git LFS and not the model: `git lfs pull` fetches the model",
    ),
    (b"<", "it is a web page and not the model: fetch the file itself"),
    (b"PK\x03\x04", "it is a ZIP archive, as checkpoints of PyTorch are: unpack it, or convert it to GGUF"),
    (b"\x1f\x8b", "it is compressed with gzip: unpack it"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with Zstandard: unpack it"),
    (b"\xfd7zXZ", "it is compressed with xz: unpack it"),
    (b"lmgg", OLD),
    (b"fmgg", OLD),
    (b"tjgg", OLD),
];
const OLD: &str =
    "it is of a format before GGUF, which llama.cpp no longer reads: fetch or convert the model again";

/// What is wrong with a model's file, as far as its head and its length tell.
pub(crate) fn trouble(path: &Path) -> Option<String> {
    let read = Gguf::open(path).and_then(|gguf| gguf.check_extent());
    let error = read.err()?;
    Some(begins_as(path).unwrap_or_else(|| error.to_string()))
}

/// What else a file is than a model.
fn begins_as(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    regular::open(path).and_then(|file| file.take(512).read_to_end(&mut head)).ok()?;
    if head.is_empty() {
        return Some("it is empty: fetch the file again".to_owned());
    }
    if head.get(8..).is_some_and(|text| text.starts_with(b"{\"")) {
        return Some(
            "it is a safetensors file: convert it with llama.cpp's convert_hf_to_gguf.py".to_owned(),
        );
    }
    let begin = head.trim_ascii_start();
    let known = OTHERS.iter().find(|(magic, _)| begin.starts_with(magic));
    known.map(|(_, told)| (*told).to_owned())
}

/// The lines of a worker's log that tell why something failed, the last ones.
pub(crate) fn telling(log: &[String]) -> Vec<&str> {
    let tells = |line: &&str| {
        let line = line.to_lowercase();
        TELLING.iter().any(|word| line.contains(word))
    };
    let mut lines: Vec<&str> = log.iter().map(|line| line.trim()).filter(tells).rev().take(SHOWN).collect();
    lines.reverse();
    lines.dedup();
    lines
}

/// An error of a worker that could not open a model, with its reason.
pub(crate) fn unopened(error: &str, model: &Path, log: &[String]) -> String {
    let mut told = error.to_owned();
    if let Some(trouble) = trouble(model) {
        told += &format!("; of {}, {trouble}", model.display());
    }
    let lines = telling(log);
    if !lines.is_empty() {
        told += &format!("; the worker wrote: {}", lines.join(" | "));
    }
    told
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_no_model_is_told_by_its_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        let safetensors = [&9_u64.to_le_bytes()[..], b"{\"a\":{}}"].concat();
        for (bytes, told) in [
            (b"".as_slice(), "it is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
            (b"\n<!DOCTYPE html><html>", "a web page"),
            (b"PK\x03\x04rest of it", "a ZIP archive"),
            (b"\x1f\x8b\x08\0rest of it", "gzip"),
            (b"tjgg\x03\0\0\0", "before GGUF"),
            (&safetensors, "safetensors"),
            (b"GGUF\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "big-endian"),
            (b"GGUF\x01\0\0\0\0\0\0\0\0\0\0\0", "version 1"),
            (b"something else", "not a GGUF file"),
        ] {
            fs::write(&path, bytes).expect("written");
            let found = trouble(&path).expect("trouble");
            assert!(found.contains(told), "{told} in {found}");
        }
    }

    #[test]
    fn a_model_that_is_cut_is_told_and_a_whole_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = intact_fixtures::ensure("llama", folder.path()).expect("made");
        assert_eq!(trouble(&path), None);
        let bytes = fs::read(&path).expect("read");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
        let told = unopened("not opened", &path, &[]);
        assert!(told.starts_with("not opened; of ") && told.contains("bytes"), "{told}");
    }

    #[test]
    fn of_a_log_the_lines_that_tell_are_shown() {
        let log = [
            "llama_model_loader: loaded meta data",
            "gguf_init_from_file_impl: tensor 'a' has invalid ggml type 99",
            "llama_model_load: error loading model: failed to load",
            "common: done",
        ]
        .map(str::to_owned);
        assert_eq!(telling(&log), [log[1].as_str(), log[2].as_str()]);
        assert!(unopened("no", Path::new("/nowhere"), &log).contains("invalid ggml type 99"));
    }
}
