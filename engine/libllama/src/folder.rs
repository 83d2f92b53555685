//! Which file of a folder is what.

use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The libraries of one release in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    /// `libggml-base`, `libggml`, then `libllama`: each needs those before it.
    pub(crate) libraries: Vec<PathBuf>,
    /// Backends that are loaded at run time, with their names: `cpu-haswell`, `vulkan`.
    backends: Vec<(String, PathBuf)>,
}

/// What the library is called on this system.
pub(crate) const EXAMPLE: &str = match () {
    () if cfg!(windows) => "llama.dll",
    () if cfg!(target_os = "macos") => "libllama.dylib",
    () => "libllama.so",
};

/// What a backend is called on this system.
pub(crate) const EXAMPLE_BACKEND: &str = match () {
    () if cfg!(windows) => "ggml-cpu-x64.dll",
    () if cfg!(target_os = "macos") => "libggml-cpu.dylib",
    () => "libggml-cpu-x64.so",
};

/// Libraries in the order in which they are opened.
const IN_ORDER: [&str; 3] = ["ggml-base", "ggml", "llama"];

impl Folder {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When it cannot be read, or holds no `libllama`.
    pub fn of(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Folder { folder: path.to_owned(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        let path = path.canonicalize().map_err(failed)?;
        Self::of_names(&path, &names).ok_or(OpenError::NoLibrary { folder: path, example: EXAMPLE })
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `libllama` itself.
    #[must_use]
    pub fn llama(&self) -> &Path {
        self.libraries.last().map_or(&self.path, PathBuf::as_path)
    }

    /// Names of the backends that are loaded at run time, in order. None where the library has its own inside.
    pub fn backends(&self) -> impl Iterator<Item = &str> {
        self.backends.iter().map(|(name, _)| name.as_str())
    }

    /// The file of a backend.
    pub(crate) fn backend(&self, name: &str) -> Option<&Path> {
        self.backends.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_path())
    }

    /// The names, sorted, of the files of a folder.
    fn of_names(path: &Path, names: &[String]) -> Option<Self> {
        let stems: Vec<(&str, &str)> =
            names.iter().filter_map(|name| Some((stem(name)?, name.as_str()))).collect();
        // A version may stand behind the name, or behind the suffix: the plain name, if there is one, is the same file.
        let file = |wanted: &str| {
            let mut of = stems.iter().filter(|(stem, _)| *stem == wanted);
            of.clone()
                .min_by_key(|(_, name)| name.len())
                .or_else(|| of.next())
                .map(|(_, name)| path.join(name))
        };
        let libraries: Vec<PathBuf> = IN_ORDER.iter().filter_map(|wanted| file(wanted)).collect();
        file("llama")?;
        let mut backends: Vec<(String, PathBuf)> = Vec::new();
        for (stem, _) in &stems {
            let Some(name) = stem.strip_prefix("ggml-").filter(|name| *name != "base") else { continue };
            if !backends.iter().any(|(known, _)| known == name) {
                backends.extend(file(stem).map(|file| (name.to_owned(), file)));
            }
        }
        Some(Self { path: path.to_owned(), libraries, backends })
    }
}

/// The name of a library without what the system and packagers put around it: `libllama.v0.5.0.so` and `libllama.so.0.0.7`
/// are `llama`. None for other files.
fn stem(name: &str) -> Option<&str> {
    let plain = if cfg!(windows) { name } else { name.strip_prefix("lib")? };
    let suffix = match () {
        () if cfg!(windows) => ".dll",
        () if cfg!(target_os = "macos") => ".dylib",
        () => ".so",
    };
    let (before, after) = plain.split_once(suffix)?;
    let version = |text: &str| text.chars().all(|char| char.is_ascii_digit() || char == '.');
    if !version(after) {
        return None;
    }
    Some(before.split_once('.').map_or(before, |(stem, _)| stem))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Option<Folder> {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        Folder::of_names(Path::new("/r"), &names)
    }

    #[test]
    fn libraries_are_found_under_every_name_that_they_have_had() {
        let tables: [(&[&str], &[&str], &[&str]); 4] = [
            // npm, static ggml.
            (&["libggml.so", "libllama.so", "llama-addon.node"], &["libggml.so", "libllama.so"], &[]),
            (
                &[
                    "libggml.so",
                    "libggml-base.so",
                    "libggml-cpu-x64.so",
                    "libggml-cpu-zen4.so",
                    "libllama.so",
                ],
                &["libggml-base.so", "libggml.so", "libllama.so"],
                &["cpu-x64", "cpu-zen4"],
            ),
            (
                &[
                    "libggml-base.so",
                    "libggml.v0.5.0.so",
                    "libllama.v0.5.0.so",
                    "libllama-common.so",
                    "libggml-cpu.so",
                ],
                &["libggml-base.so", "libggml.v0.5.0.so", "libllama.v0.5.0.so"],
                &["cpu"],
            ),
            // A build's own folder, with links from version to version.
            (
                &["libllama.so.0.0.9", "libllama.so.0", "libllama.so", "libggml.so.0", "libggml-vulkan.so"],
                &["libggml.so.0", "libllama.so"],
                &["vulkan"],
            ),
        ];
        for (names, libraries, backends) in tables {
            let folder = of(names).expect("a release");
            let found: Vec<String> =
                folder.libraries.iter().map(|path| path.file_name().unwrap().display().to_string()).collect();
            assert_eq!(found, libraries, "{names:?}");
            assert_eq!(folder.backends().collect::<Vec<_>>(), backends, "{names:?}");
        }
        assert_eq!(of(&["libggml.so", "libllama-common.so", "libllama.so.txt"]), None);
    }
}
