//! What a worker may touch. The harness says it when it starts one, in the environment variable [`CAGE`]; the built-in worker
//! keeps itself to that before it reads anything that others wrote.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The environment variable with a [`Cage`] as JSON; [`OFF`] for none.
pub const CAGE: &str = "INTACT_CAGE";
/// The value of [`CAGE`] that leaves a worker as free as any program: for builds that need what a cage does not give, such as
/// the device files of a graphics card.
pub const OFF: &str = "off";

/// The feature of a worker that the system keeps from all files but those of its [`Cage`], and from starting programs.
pub const CAGED_FILES: &str = "caged-files";
/// The feature of a worker that the system keeps from the network, from other sockets, and from other processes.
pub const CAGED_NETWORK: &str = "caged-network";

/// What a worker may touch: these files, and what is in these folders. It starts no programs and has no network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cage {
    /// What it may read.
    pub read: Vec<PathBuf>,
    /// Where it may read and write.
    pub write: Vec<PathBuf>,
}

impl Cage {
    /// As the value of the variable. A path that is not text is left out: no request can name it either.
    #[must_use]
    pub fn variable(&self) -> String {
        let text = |paths: &[PathBuf]| -> Vec<PathBuf> {
            paths.iter().filter(|path| path.to_str().is_some()).cloned().collect()
        };
        let told = Self { read: text(&self.read), write: text(&self.write) };
        serde_json::to_string(&told).unwrap_or_default()
    }

    /// What a value of the variable says; none where there is to be no cage.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn of_variable(value: &str) -> Result<Option<Self>, serde_json::Error> {
        if value == OFF { Ok(None) } else { serde_json::from_str(value).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let cage = Cage { read: vec!["/a model.gguf".into()], write: vec!["/s\"c".into(), "/d".into()] };
        assert_eq!(Cage::of_variable(&cage.variable()).expect("JSON"), Some(cage));
        assert_eq!(Cage::of_variable(OFF).expect("off"), None);
        for wrong in ["", "no", "{}", r#"{"read":[],"write":[],"network":true}"#] {
            assert!(Cage::of_variable(wrong).is_err(), "{wrong}: taken for a cage");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_text_costs_no_other() {
        use std::os::unix::ffi::OsStringExt;
        let odd = PathBuf::from(std::ffi::OsString::from_vec(b"/\xff".to_vec()));
        let cage = Cage { read: vec![odd, "/a".into()], write: Vec::new() };
        let told = Cage::of_variable(&cage.variable()).expect("JSON").expect("a cage");
        assert_eq!(told.read, [PathBuf::from("/a")]);
    }
}
