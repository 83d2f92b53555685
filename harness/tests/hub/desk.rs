//! A user with a home of their own, and a file of pins, who runs the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::content;
use crate::server::{FILE, REPO, Server};

/// The id of the pinned model.
pub(crate) const ID: &str = "tiny";

pub(crate) struct Desk {
    folder: TempDir,
    endpoint: String,
}

/// What the command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    /// Without the line breaks that fit it to the terminal.
    pub(crate) err: String,
}

impl Desk {
    /// Someone who has pinned the model, and whose hub is `server`.
    pub(crate) fn at(server: &Server) -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder"), endpoint: server.endpoint() };
        desk.pin(&content::sha256(&content::model()));
        desk
    }

    /// Pins the model by this SHA-256.
    pub(crate) fn pin(&self, sha256: &str) {
        let pins = format!(
            "version = 1\n\n[[model]]\nid = \"{ID}\"\nrepo = \"{REPO}\"\nfile = \"{FILE}\"\nsha256 = \"{sha256}\"\n"
        );
        fs::write(self.path("models.toml"), pins).expect("written");
    }

    /// Pins the model by this SHA-256, as what two packages carry.
    pub(crate) fn pin_packages(&self, sha256: &str) {
        self.pin(sha256);
        let pins = fs::read_to_string(self.path("models.toml")).expect("written");
        let packages = "packages = [{ name = \"a-model\", version = \"1.0\", member = \"a_model/data/part0\" }, \
                        { name = \"a-model-rest\", version = \"1.0\", member = \"a_model_rest/data/part1\" }]\n";
        fs::write(self.path("models.toml"), pins + packages).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that revisions are recorded in.
    pub(crate) fn lock(&self) -> String {
        fs::read_to_string(self.path("models.lock.toml")).unwrap_or_default()
    }

    /// Every file of the cache below `blobs`, with its length.
    pub(crate) fn blobs(&self) -> Vec<(String, u64)> {
        let folder = self.repository().join("blobs");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut blobs: Vec<_> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.file_name().into_string().expect("UTF-8");
                (name, entry.metadata().expect("a file").len())
            })
            .collect();
        blobs.sort();
        blobs
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.path("hf/hub").join(format!("models--{}", REPO.replace('/', "--")))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_intact"));
        command.args(arguments).env_clear();
        command.envs([("NO_COLOR", "1"), ("NO_PROXY", "*"), ("HF_ENDPOINT", &self.endpoint)]);
        for (name, path) in
            [("HOME", "home"), ("INTACT_HOME", "home"), ("HF_HOME", "hf"), ("INTACT_PINS", "models.toml")]
        {
            command.env(name, self.path(path));
        }
        command
    }

    pub(crate) fn intact(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().expect("the command runs"))
    }

    pub(crate) fn fetch(&self) -> Said {
        self.intact(&["models", "fetch", ID])
    }

    /// Fetches, and gives the file.
    pub(crate) fn fetched(&self) -> PathBuf {
        let said = self.fetch();
        assert_eq!(said.code, 0, "{}", said.err);
        let (path, _) = said.out.rsplit_once(" (").expect("a path and a length");
        Path::new(path).to_owned()
    }
}

pub(crate) fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the command speaks UTF-8");
    let err = text(&output.stderr).replace("│", " ");
    let err = err.split_whitespace().collect::<Vec<_>>().join(" ");
    Said { code: output.status.code().expect("the command ends by itself"), out: text(&output.stdout), err }
}
