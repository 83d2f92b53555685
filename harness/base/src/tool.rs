//! Programs of others that a command needs: what they are, and where they come from.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

/// A program, what it is of, and how to get it.
struct Tool {
    program: &'static str,
    of: &'static str,
    get: &'static str,
}

const PYTHON: &str =
    "install Python 3.10 or newer (the packages `python3` and `python3-venv`, or python.org)";
const NODE: &str = "install Node.js 20 or newer (the packages `nodejs` and `npm`, or nodejs.org)";

const TOOLS: [Tool; 7] = [
    Tool { program: "node", of: "Node.js", get: NODE },
    Tool { program: "npm", of: "npm, which comes with Node.js,", get: NODE },
    Tool { program: "python3", of: "Python", get: PYTHON },
    Tool { program: "python", of: "Python", get: PYTHON },
    Tool { program: "cargo", of: "Rust's cargo", get: "install Rust (rustup.rs)" },
    Tool { program: "cmake", of: "CMake", get: "install the package `cmake`" },
    Tool { program: "git", of: "git", get: "install the package `git`" },
];

/// The file of a program by its bare name, beside this one.
#[must_use]
pub fn beside(program: &str) -> Option<PathBuf> {
    let file = env::current_exe().ok()?.with_file_name(format!("{program}{}", env::consts::EXE_SUFFIX));
    file.is_file().then_some(file)
}

/// The file of a program by its bare name, in the search path.
#[must_use]
pub fn in_search_path(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).map(|folder| folder.join(&name)).find(|file| file.is_file())
}

/// What to do about a program that could not be started, where it is missing and known.
#[must_use]
pub fn remedy(program: &Path, error: &io::Error) -> Option<String> {
    if error.kind() != io::ErrorKind::NotFound {
        return None;
    }
    let name = program.file_stem()?.to_str()?;
    let tool = TOOLS.iter().find(|tool| tool.program == name)?;
    let place = match program.components().count() {
        1 => "in the search path (PATH)".to_owned(),
        _ => format!("at {}", program.display()),
    };
    Some(format!("{} is not {place}; {}", tool.of, tool.get))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_how_to_get_it() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let told = |program: &str| remedy(Path::new(program), &missing());
        assert_eq!(
            told("node").as_deref(),
            Some(
                "Node.js is not in the search path (PATH); install Node.js 20 or newer (the packages `nodejs` and `npm`, or \
                 nodejs.org)"
            )
        );
        let venv = told("/home/ada/.cache/intact/subjects/a/venv/bin/python").expect("known");
        assert!(venv.starts_with("Python is not at /home/ada/") && venv.contains("python3-venv"), "{venv}");
        assert_eq!(told("my-worker"), None);
        assert_eq!(remedy(Path::new("node"), &io::Error::from(io::ErrorKind::PermissionDenied)), None);
    }
}
