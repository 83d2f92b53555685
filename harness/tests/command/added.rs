//! `tags add`: libraries that nobody listed.

use std::fs;
use std::path::{Path, PathBuf};

use super::cli::{Said, intact, loaded_worker};

fn tags(home: &Path, arguments: &[&str]) -> Said {
    intact([&["tags"], arguments, &["--home", home.to_str().expect("UTF-8")]].concat())
}

/// Libraries of listed releases that were fetched on this machine, with the ids of their layouts.
fn fetched() -> Vec<(String, PathBuf, String)> {
    let Some(home) = intact_harness::tags::default_home() else { return Vec::new() };
    let fetched = |release: &intact_harness::tags::Release| {
        let folder = intact_harness::tags::fetched_library(&home, release)?;
        Some((release.tag.clone(), folder, release.layout.clone()))
    };
    intact_harness::tags::releases().iter().filter_map(fetched).collect()
}

#[test]
fn a_folder_that_gives_no_library_is_refused_with_its_reason() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_str().expect("UTF-8");
    let empty = tags(home.path(), &["add", at]);
    assert_eq!((empty.code, empty.err.contains("holds no libllama")), (96, true), "{}", empty.err);
    let missing = tags(home.path(), &["add", &format!("{at}/none")]);
    assert_eq!((missing.code, missing.err.contains("none")), (96, true), "{}", missing.err);
    let name = if cfg!(windows) { "llama.dll" } else { "libllama.so" };
    fs::write(folder.path().join(name), "a text").expect("written");
    let taken = tags(home.path(), &["add", at, "--name", "b8783"]);
    assert!(taken.err.contains("vendors change what they build"), "{}", taken.err);
    let unknown = tags(home.path(), &["remove", "b8783"]);
    assert!(unknown.err.contains("no library was added under the name"), "{}", unknown.err);
    assert_eq!(fs::read_dir(home.path()).expect("read").count(), 0, "nothing is left of them");
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_library_is_told_by_the_worker_that_opens_it() {
    assert!(loaded_worker().is_file());
    let home = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("libllama.so"), "a text").expect("written");
    let text = tags(home.path(), &["add", folder.path().to_str().expect("UTF-8")]);
    assert!(
        text.err.contains("its library cannot be used") && text.err.contains("is not a library"),
        "{}",
        text.err
    );
    // The copy that was tried is gone, and nobody has seen it.
    let named = folder.path().join("libllama.so").display().to_string();
    let err: String = text.err.split_whitespace().collect();
    assert!(err.contains(&named), "{named}: {}", text.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_can_be_opened_by_another_worker_than_the_one_beside_this_command() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("libllama.so"), "a text").expect("written");
    let folder = folder.path().to_str().expect("UTF-8");
    let worker = format!("env A=1 {}", loaded_worker().display());
    let opened = tags(home.path(), &["add", folder, "--worker", &worker]);
    assert!(opened.err.contains("is not a library"), "{}", opened.err);
    let none = tags(home.path(), &["add", folder, "--worker", "no-such-emulator intact-worker-loaded"]);
    assert!(none.code == 96 && none.err.contains("no-such-emulator"), "{}", none.err);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs libraries that `intact tags fetch` brings: the step `releases` of ci/test runs it"]
fn what_a_library_is_shows_in_what_it_writes() {
    assert!(loaded_worker().is_file());
    let home = tempfile::tempdir().expect("a folder");
    let libraries = fetched();
    let (first, library, _) = libraries.first().expect("libraries are here");
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(library).expect("read").flatten() {
        if !entry.file_name().to_string_lossy().contains("-cpu") {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
        }
    }
    let none = tags(home.path(), &["add", folder.path().to_str().expect("UTF-8")]);
    assert!(none.err.contains("has no backend that runs here"), "{}", none.err);
    for (tag, library, layout) in &libraries {
        // What a cell carries for models with 2D positions shows in those models only.
        let looks_like = if layout == "b5913" { "b8215" } else { layout };
        let said =
            tags(home.path(), &["add", library.to_str().expect("UTF-8"), "--name", &format!("mine-{tag}")]);
        assert_eq!(said.code, 0, "{tag}: {}", said.err);
        assert!(
            said.out.contains(&format!("as those of {looks_like}, by what it wrote")),
            "{tag}: {}",
            said.out
        );
        assert!(said.out.contains("  libllama."), "{tag}: {}", said.out);
    }
    let name = format!("mine-{first}");
    assert!(tags(home.path(), &["list"]).out.contains(&name));
    let probed = tags(home.path(), &["probe", &name]);
    assert_eq!((probed.code, probed.out.contains("direct")), (0, true), "{}{}", probed.out, probed.err);
    assert_eq!(tags(home.path(), &["remove", &name]).code, 0);
    assert!(!tags(home.path(), &["list"]).out.contains(&name));
}
