//! Names on a hub: repositories, files in them, and commits.

use std::fmt;

use thiserror::Error;

/// A file at a revision of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Repository, `owner/name`.
    pub repo: String,
    /// Path of the file in the repository.
    pub file: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repo, self.file)?;
        if self.revision != MAIN {
            write!(f, " at {}", self.revision)?;
        }
        Ok(())
    }
}

/// The branch that a file is looked for on first.
pub(super) const MAIN: &str = "main";

/// A commit: 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit(String);

impl Commit {
    /// The commit of this name; `None` for anything else, such as a branch.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        is_hex(text, 40).then(|| Self(text.to_owned()))
    }

    /// Its 40 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that no hub has, or that would lead out of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadAddress {
    /// Not a repository.
    #[error("`{0}` is not a repository; repositories are called `owner/name`")]
    Repository(String),
    /// Not a file.
    #[error("`{0}` is not a file in a repository; give its path in the repository, such as `model.gguf`")]
    File(String),
    /// Not a SHA-256.
    #[error("`{0}` is not a SHA-256; it has 64 lower-case hexadecimal digits")]
    Sha256(String),
}

/// Checks `owner/name`.
pub(super) fn check_repository(repo: &str) -> Result<(), BadAddress> {
    let sound = repo.split('/').count() == 2 && repo.split('/').all(is_name);
    sound.then_some(()).ok_or_else(|| BadAddress::Repository(repo.to_owned()))
}

/// Checks the path of a file in a repository.
pub(super) fn check_file(file: &str) -> Result<(), BadAddress> {
    let sound = file.split('/').all(|part| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']) && !has_control(part)
    });
    sound.then_some(()).ok_or_else(|| BadAddress::File(file.to_owned()))
}

/// Checks a SHA-256 in hexadecimal.
pub(super) fn check_sha256(text: &str) -> Result<(), BadAddress> {
    is_sha256(text).then_some(()).ok_or_else(|| BadAddress::Sha256(text.to_owned()))
}

pub(super) fn is_sha256(text: &str) -> bool {
    is_hex(text, 64)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A word of a repository's name. Two dashes stand for the slash in the names of cache folders.
fn is_name(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    part.bytes().all(allowed) && !part.starts_with('.') && !part.is_empty() && !part.contains("--")
}

fn has_control(part: &str) -> bool {
    part.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_lead_out_of_the_cache_are_no_names() {
        for repo in ["owner/name", "ggml-org/gemma-3-1b-it-GGUF", "bartowski/Qwen_Qwen3.5-0.8B-GGUF"] {
            assert_eq!(check_repository(repo), Ok(()), "{repo}");
        }
        for repo in ["", "name", "a/b/c", "../x", "a/..", "a--b/c", "/x", "a/b c", "a/b?x"] {
            assert!(check_repository(repo).is_err(), "{repo}");
        }
        for file in ["model.gguf", "BF16/model-00001-of-00002.gguf", "größe.gguf", "a b.gguf"] {
            assert_eq!(check_file(file), Ok(()), "{file}");
        }
        for file in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "C:\\x", "a\nb", "."] {
            assert!(check_file(file).is_err(), "{file}");
        }
    }

    #[test]
    fn a_commit_is_forty_digits_and_nothing_else() {
        let digits = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Commit::new(digits).as_ref().map(Commit::as_str), Some(digits));
        for other in ["main", "", &digits[1..], &digits.to_uppercase(), &format!("{digits}0")] {
            assert_eq!(Commit::new(other), None, "{other}");
        }
    }
}
