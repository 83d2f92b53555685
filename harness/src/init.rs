//! The files that `intact init` writes: a configuration and expectations that work as they are, or the project of the guide.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The files, by name.
pub(crate) const FILES: [(&str, &str); 2] = [
    ("intact.toml", include_str!("init/intact.toml")),
    ("expectations.toml", include_str!("init/expectations.toml")),
];

/// The project of the guide: its chat system is a stand-in, and so are its models.
pub(crate) const EXAMPLE: [(&str, &str); 5] = [
    ("intact.toml", include_str!("init/example/intact.toml")),
    ("expectations.toml", include_str!("init/example/expectations.toml")),
    ("adapter.py", include_str!("../adapters/exec/example.py")),
    ("models/small.gguf", "small"),
    ("models/large.gguf", "large"),
];

/// Writes files into a folder, which is made where it is not there, and gives their paths. What is there is never overwritten.
///
/// # Errors
/// The file or folder that could not be written, and why: [`io::ErrorKind::AlreadyExists`] where a file is there.
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| path.exists()) {
        return Err((there.clone(), io::ErrorKind::AlreadyExists.into()));
    }
    for (path, (_, text)) in paths.iter().zip(files) {
        let folder = path.parent().unwrap_or(folder);
        fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| (path.clone(), error))?;
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::expectation::Expectations;
    use crate::plan::{Plan, Setting};

    #[test]
    fn what_is_written_works_as_it_is() {
        let [(config_name, config), (expectations_name, expectations)] = FILES;
        let config = Config::parse(config, Path::new(config_name)).unwrap_or_else(|error| panic!("{error}"));
        let expectations = Expectations::parse(expectations, Path::new(expectations_name), &config)
            .unwrap_or_else(|error| panic!("{error}"));
        let models = [("llama", "dense"), ("gemma3", "windowed")];
        let setting = Setting {
            models: models.map(|(name, family)| (name.to_owned(), family.to_owned())).to_vec(),
            variants: models.map(|(name, _)| (name.to_owned(), ["other".to_owned()].into())).into(),
            ..Setting::default()
        };
        for name in ["pr", "nightly"] {
            let plan = Plan::make(&config, name, &setting).unwrap_or_else(|error| panic!("{error}"));
            assert!(plan.cells.len() > 60, "{name} has {} cells", plan.cells.len());
            assert_eq!(
                expectations.findings(&plan.cells, name, jiff::civil::Date::constant(2026, 1, 1)),
                [],
                "{name}"
            );
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("new/guide");
        assert_eq!(write(&project, &EXAMPLE).expect("written").len(), EXAMPLE.len());
        assert!(project.join("models/small.gguf").is_file());
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(write(folder.path(), &FILES).expect("written").len(), 2);
        fs::remove_file(folder.path().join("intact.toml")).expect("removed");
        let (path, error) = write(folder.path(), &FILES).expect_err("one is there");
        assert!(path.ends_with("expectations.toml") && error.kind() == io::ErrorKind::AlreadyExists);
        assert!(!folder.path().join("intact.toml").exists(), "all or nothing");
    }
}
