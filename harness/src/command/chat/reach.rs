//! Which folders the worker of a chat may write to. What it reads is named while it runs, and may be anything of the user's;
//! what it writes elsewhere, intact puts there for it.

use std::path::{Path, PathBuf};

use intact_protocol::Cage;

/// Folders that the worker writes to itself.
pub(super) struct Reach(Vec<PathBuf>);

impl Reach {
    /// Those of these folders where nothing can be changed that starts programs or lets people in: the home folder is none,
    /// and nothing that it is in.
    pub(super) fn of<'p>(folders: impl IntoIterator<Item = &'p Path>) -> Self {
        Self::with_home(folders, std::env::home_dir().as_deref())
    }

    fn with_home<'p>(folders: impl IntoIterator<Item = &'p Path>, home: Option<&Path>) -> Self {
        let home = home.and_then(|home| home.canonicalize().ok());
        let holds_settings = |folder: &Path| {
            folder.parent().is_none() || home.as_ref().is_some_and(|home| home.starts_with(folder))
        };
        let folders = folders.into_iter().filter_map(|folder| folder.canonicalize().ok());
        Self(folders.filter(|folder| !holds_settings(folder)).collect())
    }

    /// What the worker may touch, and these folders for what only it and this process see.
    pub(super) fn cage(&self, own: impl IntoIterator<Item = PathBuf>) -> Cage {
        Cage { read: vec!["/".into()], write: own.into_iter().chain(self.0.iter().cloned()).collect() }
    }

    /// Whether the worker can write a session file itself, and what belongs to it.
    pub(super) fn has(&self, file: &Path) -> bool {
        let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
        folder.is_some_and(|folder| self.0.iter().any(|own| folder.starts_with(own)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_home_folder_and_what_it_is_in_are_out_of_reach() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        for folder in ["homes/ada/chats/old", "homes/eve", "elsewhere"] {
            fs::create_dir_all(at(folder)).expect("made");
        }
        let home = at("homes/ada");
        let folders = [Path::new("/"), &at("homes"), &home, &at("homes/ada/chats"), &at("nowhere")];
        let reach = Reach::with_home(folders, Some(&home));
        for (file, is_within) in [
            ("homes/ada/chats/a.json", true),
            ("homes/ada/chats/old/a.json", true),
            ("homes/ada/.bashrc", false),
            ("homes/eve/a.json", false),
            ("homes/ada/chats/../.bashrc", false),
            ("elsewhere/a.json", false),
            ("nowhere/a.json", false),
        ] {
            assert_eq!(reach.has(&at(file)), is_within, "{file}");
        }
        let own = at("elsewhere");
        assert_eq!(reach.cage([own.clone()]).write[0], own);
    }

    #[test]
    fn without_a_home_only_the_root_is_out_of_reach() {
        let folder = tempfile::tempdir().expect("a folder");
        let reach = Reach::with_home([Path::new("/"), folder.path()], None);
        assert!(reach.has(&folder.path().join("a.json")) && !reach.has(Path::new("/a.json")));
    }
}
