//! `ci/setup`: checkouts that are used at the same time do not take each other's builds away.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::runner::write_program;

/// Two checkouts that have nothing but `ci/setup`, and one cache. A stub stands for cargo and notes how it was called.
struct Desk {
    folder: TempDir,
}

/// A shell in a checkout that has taken the build's environment, and keeps it until it is dropped.
struct Shell {
    process: Child,
    target: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/setup");
        for checkout in ["one", "other"] {
            let ci = folder.path().join(checkout).join("ci");
            fs::create_dir_all(&ci).expect("a folder");
            fs::copy(setup, ci.join("setup")).expect("the script");
            let member = folder.path().join(checkout).join("member");
            fs::create_dir_all(&member).expect("a folder");
            fs::write(member.join("Cargo.toml"), "name = \"intact-member\"\n").expect("a manifest");
        }
        let calls = folder.path().join("calls");
        write_program(
            &folder.path().join("bin/cargo"),
            &format!("#!/bin/sh\necho \"$*\" >>'{}'\n", calls.display()),
        );
        for tool in ["cmake", "c++", "make", "ccache"] {
            write_program(&folder.path().join("bin").join(tool), "#!/bin/sh\n");
        }
        Self { folder }
    }

    fn shell(&self, checkout: &str) -> Shell {
        let root = self.folder.path().join(checkout);
        let path = format!(
            "{}:{}",
            self.folder.path().join("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut process = Command::new("sh")
            .args(["-c", ". ./ci/setup && echo \"$CARGO_TARGET_DIR\" && read -r _"])
            .current_dir(&root)
            .env("PATH", path)
            .env("INTACT_HOME", self.folder.path().join("cache"))
            .env("INTACT_CHECKOUT", &root)
            .env("LIBCLANG_PATH", "/")
            .env_remove("INTACT_TARGET_DIR")
            .env_remove("INTACT_SETUP")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut target = String::new();
        let stdout = process.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut target).expect("its target folder");
        Shell { process, target: Path::new(target.trim_end()).to_owned() }
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("the shell ends");
    }
}

#[test]
fn a_checkout_that_comes_while_another_one_is_used_compiles_in_a_folder_of_its_own() {
    let desk = Desk::new();
    let first = desk.shell("one");
    assert_eq!(first.target, desk.folder.path().join("cache/target"));
    let second = desk.shell("other");
    assert_ne!(second.target, first.target);
    assert_eq!(desk.calls(), "", "nothing of the first one's was removed");
    assert_eq!(desk.shell("other").target, second.target, "always the same folder");
    assert_eq!(desk.shell("one").target, first.target, "several processes of one checkout share its folder");
}

#[test]
fn a_folder_that_nobody_uses_is_taken_over_without_the_crates_of_the_checkout_before() {
    let desk = Desk::new();
    let target = desk.shell("one").target.clone();
    fs::create_dir_all(target.join("debug")).expect("a folder");
    let second = desk.shell("other");
    assert_eq!(second.target, target);
    assert!(desk.calls().lines().any(|call| call.ends_with("-p intact-member")), "{}", desk.calls());
}
