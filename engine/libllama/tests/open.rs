//! Folders that hold no library that could be used, each refused with its reason.

#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "what is opened is run")]

use std::fs;
use std::path::{Path, PathBuf};

use intact_libllama::{OpenError, Options, open};

/// A library of this system that is no llama.cpp.
fn foreign() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("read");
    let path = maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| format!("/{path}"));
    path.map(PathBuf::from)
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libgcc_s")))
        .expect("a library that every Rust program has")
}

/// A folder with a `libllama.so` of these bytes.
fn folder(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("libllama.so"), bytes).expect("written");
    folder
}

fn refusal(folder: &Path) -> OpenError {
    // SAFETY: what is in these folders is no library, or one that this program has open already.
    unsafe { open(folder, &Options::new()) }.expect_err("refused")
}

#[test]
fn a_folder_without_the_library_is_named() {
    let empty = tempfile::tempdir().expect("a folder");
    let error = refusal(empty.path());
    assert!(matches!(error, OpenError::NoLibrary { .. }), "{error}");
    assert!(error.to_string().contains("libllama.so"), "{error}");
    let missing = empty.path().join("none");
    assert!(matches!(refusal(&missing), OpenError::Folder { folder, .. } if folder == missing));
}

#[test]
fn what_is_no_library_or_is_cut_is_not_opened() {
    let whole = fs::read(foreign()).expect("read");
    for bytes in [b"".as_slice(), b"a text", &whole[..20], &whole[..whole.len() / 2]] {
        let error = refusal(folder(bytes).path());
        let told = matches!(error, OpenError::NotALibrary { .. } | OpenError::NotOpened { .. });
        assert!(told, "{} bytes: {error}", bytes.len());
    }
}

#[test]
fn a_library_for_another_processor_is_told_before_the_system_says_that_there_is_none() {
    // The machine's number in the header of an ELF file.
    const MACHINE: usize = 18;
    const S390: [u8; 2] = 22u16.to_ne_bytes();
    let mut bytes = fs::read(foreign()).expect("read");
    bytes[MACHINE..MACHINE + 2].copy_from_slice(&S390);
    let error = refusal(folder(&bytes).path());
    assert!(matches!(error, OpenError::OtherMachine { .. }), "{error}");
    assert!(error.to_string().contains("is for Linux on S390x"), "{error}");
}

#[test]
fn a_library_that_is_no_llama_cpp_has_none_of_its_functions() {
    let error = refusal(folder(&fs::read(foreign()).expect("read")).path());
    let OpenError::NoFunction { name, .. } = &error else { panic!("{error}") };
    assert_eq!(name, "llama_backend_init");
}
