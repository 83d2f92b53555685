//! Adapters: the small programs that put foreign systems behind the protocol. They are part of this program, and are
//! written into the folder of every subject that they drive.

use std::path::Path;
use std::{fs, io};

use intact_format::regular;

/// An adapter that comes with intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapter {
    /// The subject's name.
    pub name: &'static str,
    /// What it drives, in a sentence.
    pub about: &'static str,
    /// Where the subject comes from.
    pub source: Source,
    /// What starts its main file.
    pub(super) interpreter: &'static str,
    /// Its files, the main one first.
    files: &'static [(&'static str, &'static str)],
}

/// Where a subject comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A package of the npm registry whose native part is prebuilt, in a package for each platform.
    Npm {
        /// The scope of the platform packages.
        platforms: &'static str,
    },
    /// A package of the Python index, compiled when it is installed.
    Pip,
    /// A package of the Python index that is compiled already, with a file of the adapter's that starts what is in it as a
    /// program.
    Wheel {
        /// The file.
        launcher: &'static str,
    },
    /// A program that the user has.
    Program,
}

/// The text of files in the folder of adapters, each under its name alone.
macro_rules! files {
    ($($folder:literal: [$($file:literal),+]),+) => {
        &[$($(($file, include_str!(concat!("../../adapters/", $folder, "/", $file)))),+),+]
    };
}

const ADAPTERS: [Adapter; 4] = [
    Adapter {
        name: "node-llama-cpp",
        about: "llama.cpp in Node.js; its npm packages carry it prebuilt, a release for each version",
        source: Source::Npm { platforms: "@node-llama-cpp" },
        interpreter: "node",
        files: files!(
            "node-llama-cpp": [
                "adapter.mjs", "subject.mjs", "session.mjs", "frame.mjs", "file.mjs", "settings.mjs",
                "probabilities.mjs", "outcome.mjs"
            ]
        ),
    },
    Adapter {
        name: "llama-server",
        about: "llama.cpp's own server over HTTP: any binary that you have, with --bin",
        source: Source::Program,
        interpreter: "python3",
        files: files!(
            "llama-server": ["adapter.py", "server.py"],
            "python": ["desk.py", "protocol.py", "session.py"]
        ),
    },
    Adapter {
        name: "xllamacpp",
        about: "llama.cpp's own server, out of the Python wheels of xllamacpp: nothing is compiled",
        source: Source::Wheel { launcher: "launcher.py" },
        interpreter: "python3",
        files: files!(
            "llama-server": ["adapter.py", "server.py"],
            "xllamacpp": ["launcher.py"],
            "python": ["desk.py", "protocol.py", "session.py"]
        ),
    },
    Adapter {
        name: "llama-cpp-python",
        about: "llama.cpp in Python; compiled by pip when it is installed",
        source: Source::Pip,
        interpreter: "python3",
        files: files!(
            "llama-cpp-python": ["adapter.py"],
            "python": ["desk.py", "protocol.py", "session.py"]
        ),
    },
];

/// Every adapter.
#[must_use]
pub fn adapters() -> &'static [Adapter] {
    &ADAPTERS
}

impl Adapter {
    /// The adapter of the subject of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ADAPTERS.iter().find(|adapter| adapter.name == name)
    }

    /// Writes its files into a subject's folder, those that are not there as they should be.
    pub(super) fn unpack(&self, folder: &Path) -> io::Result<()> {
        let folder = folder.join(FOLDER);
        fs::create_dir_all(&folder)?;
        for (name, text) in self.files {
            let path = folder.join(name);
            if regular::read_text(&path).is_ok_and(|there| there == *text) {
                continue;
            }
            // Another run may be reading it.
            let new = tempfile::NamedTempFile::new_in(&folder)?;
            fs::write(new.path(), text)?;
            new.persist(&path)?;
        }
        Ok(())
    }

    /// One of its files in a subject's folder.
    pub(super) fn file(name: &str, folder: &Path) -> String {
        folder.join(FOLDER).join(name).display().to_string()
    }

    /// Its main file in a subject's folder.
    pub(super) fn main(&self, folder: &Path) -> String {
        let main = self.files.first().map_or("", |(name, _)| name);
        folder.join(FOLDER).join(main).display().to_string()
    }
}

const FOLDER: &str = "adapter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacked_adapter_is_what_this_version_carries() {
        for adapter in adapters() {
            let folder = tempfile::tempdir().expect("folder");
            adapter.unpack(folder.path()).expect("unpacked");
            let main = adapter.main(folder.path());
            fs::write(&main, "of an older version").expect("written");
            adapter.unpack(folder.path()).expect("unpacked again");
            assert_eq!(fs::read_to_string(&main).expect("readable"), adapter.files[0].1, "{}", adapter.name);
        }
    }
}
