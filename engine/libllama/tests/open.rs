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

/// Builds a library of this source, with what it is to be linked with.
fn built(folder: &Path, name: &str, source: &str, link: &[&str]) {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let file = folder.join(format!("{name}.rs"));
    fs::write(&file, source).expect("written");
    let output = std::process::Command::new(rustc)
        .args(["--edition=2021", "--crate-type=cdylib", "-Cpanic=abort", "-o"])
        .arg(folder.join(format!("lib{name}.so")))
        // The name by which libraries find each other, wherever they are.
        .arg(format!("-Clink-arg=-Wl,-soname,lib{name}.so"))
        .args(link)
        .arg("-L")
        .arg(folder)
        .arg(&file)
        .output()
        .expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(file).expect("removed");
}

const BASE: &str = "#[no_mangle] pub extern \"C\" fn ggml_of_this_release() -> i32 { 1 }";
const LLAMA: &str = "extern \"C\" { fn ggml_of_this_release() -> i32; }
    #[no_mangle] pub extern \"C\" fn llama_backend_init() { unsafe { ggml_of_this_release(); } }";
const LINK: [&str; 2] = ["-lggml-base", "-Clink-arg=-Wl,--no-as-needed"];

#[test]
fn a_library_whose_dependency_is_missing_or_of_another_release_is_told_from_one_that_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    built(folder.path(), "ggml-base", BASE, &[]);
    built(folder.path(), "llama", LLAMA, &LINK);
    let base = folder.path().join("libggml-base.so");
    let whole = fs::read(&base).expect("read");

    fs::remove_file(&base).expect("removed");
    let missing = refusal(folder.path());
    let OpenError::NotOpened { file, reason } = &missing else { panic!("{missing}") };
    assert!(file.ends_with("libllama.so") && reason.contains("libggml-base.so"), "{missing}");

    let other = BASE.replace("this_release", "another_release");
    built(folder.path(), "ggml-base", &other, &[]);
    let foreign = refusal(folder.path());
    let OpenError::NotOpened { reason, .. } = &foreign else { panic!("{foreign}") };
    assert!(reason.contains("ggml_of_this_release"), "{foreign}");
    assert!(foreign.to_string().contains("nothing of another release"), "{foreign}");

    // With its own base it opens, and is no llama.cpp.
    fs::write(&base, whole).expect("written");
    assert!(matches!(refusal(folder.path()), OpenError::NoFunction { .. }));
}

#[cfg(target_env = "gnu")]
#[test]
fn a_library_for_a_newer_system_is_told_before_it_is_opened() {
    let mut bytes = fs::read(foreign()).expect("read");
    let at = bytes.windows(8).position(|part| part == b"GLIBC_2.").expect("a version of the C library");
    bytes[at + 6] = b'9';
    let error = refusal(folder(&bytes).path());
    let OpenError::NewerLibc { needs, have, .. } = &error else { panic!("{error}") };
    assert!(needs.starts_with("glibc 9.") && have.starts_with("glibc 2."), "{error}");
    assert!(error.to_string().contains("take a build for older systems"), "{error}");
}
