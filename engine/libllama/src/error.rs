use std::path::PathBuf;

use thiserror::Error;

/// Why a library cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be read.
    #[error("the folder {} cannot be read", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No file of the folder is a `libllama`.
    #[error(
        "{} holds no libllama; name the folder of a release or a package that has {example}",
        folder.display()
    )]
    NoLibrary {
        /// The folder.
        folder: PathBuf,
        /// What the file is called on this system.
        example: &'static str,
    },
    /// A file is no library at all, or is cut.
    #[error("{} is not a library: {reason}; fetch it again", file.display())]
    NotALibrary {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A library for another processor or system.
    #[error("{} is for {found}, and this program is for {here}; fetch the build for {here}", file.display())]
    OtherMachine {
        /// The file.
        file: PathBuf,
        /// What it is for.
        found: String,
        /// What is needed.
        here: String,
    },
    /// A library that was built against a newer C library than the one here.
    #[error(
        "{} needs {needs}, and this system has {have}; take a build for older systems, or a newer system",
        file.display()
    )]
    NewerLibc {
        /// The file.
        file: PathBuf,
        /// The version that it asks for.
        needs: String,
        /// The version here.
        have: String,
    },
    /// The system does not open it: a dependency is missing, or is one of another release.
    #[error("{} cannot be opened: {reason}; a release's libraries belong into one folder, with nothing of another release", file.display())]
    NotOpened {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A library of the same name was taken from elsewhere.
    #[error(
        "{} was opened in place of the one in {}; remove its folder from LD_LIBRARY_PATH",
        found.display(),
        folder.display()
    )]
    FromElsewhere {
        /// What was opened.
        found: PathBuf,
        /// Where it should have come from.
        folder: PathBuf,
    },
    /// A function that cannot be done without is not in it.
    #[error("{} has no function {name}: it is too old, or not llama.cpp", file.display())]
    NoFunction {
        /// The file.
        file: PathBuf,
        /// The name, or the names that it has had.
        name: String,
    },
    /// Its structs are laid out as none that is known.
    #[error("the layout of {which} in {} is not known, so nothing can be passed to it; a row of layouts.toml is needed. Its defaults are:\n{dump}{near}", file.display())]
    UnknownLayout {
        /// The file.
        file: PathBuf,
        /// The struct.
        which: &'static str,
        /// The bytes of its defaults in hexadecimal; `..` where nothing is written.
        dump: String,
        /// Why the rows of a similar size are not it.
        near: String,
    },
    /// Several known layouts fit that do not agree.
    #[error("{} fits several layouts of {which} that contradict each other: {rows}", file.display())]
    Ambiguous {
        /// The file.
        file: PathBuf,
        /// The struct.
        which: &'static str,
        /// The releases of these layouts.
        rows: String,
    },
    /// A backend was asked for by name and is not there, or does not run on this processor.
    #[error("the backend {name} cannot be used: {reason}; the folder has {known}")]
    Backend {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
        /// Backends in the folder.
        known: String,
    },
    /// Nothing is there that could evaluate anything.
    #[error("{} has no backend that runs here: a file like {example} is missing", folder.display())]
    NoBackend {
        /// The folder.
        folder: PathBuf,
        /// What the file is called on this system.
        example: &'static str,
    },
    /// A process opens one library.
    #[error("this process has opened the library in {} already; start another process", folder.display())]
    Opened {
        /// Where the library is that is open.
        folder: PathBuf,
    },
}
