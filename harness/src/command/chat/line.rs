//! What a line that the person typed means.

use std::path::PathBuf;

use super::input::Entry;

/// A line of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// Something to say to the model.
    Message(String),
    /// Save, to this file or the default one, also over a session that is there.
    Save {
        /// The file.
        file: Option<PathBuf>,
        /// Whether a session that is there is replaced.
        replace: bool,
    },
    /// Load this file.
    Load(PathBuf),
    /// Load, but no file was named.
    LoadWhat,
    /// Give the model the tools of this file, or take all away.
    Tools(Option<PathBuf>),
    /// Start a new session, of this id or the same.
    New(Option<String>),
    /// List the commands.
    Help,
    /// Leave.
    Quit,
    /// A command that there is not.
    Unknown(String),
}

impl Line {
    /// What an entry means.
    pub(super) fn of(entry: Entry) -> Self {
        match entry {
            Entry::Line(line) => Self::parse(&line),
            Entry::Message(text) if text.trim().is_empty() => Self::Empty,
            Entry::Message(text) => Self::Message(text),
        }
    }

    /// Reads a line: a command behind one slash, everything else a message.
    fn parse(line: &str) -> Self {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/') else {
            return if line.is_empty() { Self::Empty } else { Self::Message(line.to_owned()) };
        };
        if command.starts_with('/') {
            return Self::Message(command.to_owned());
        }
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
        match (name, rest) {
            ("save", rest) => {
                let (replace, file) = match rest.unwrap_or_default().strip_prefix("--replace") {
                    Some(file) if file.is_empty() || file.starts_with(char::is_whitespace) => {
                        (true, Some(file.trim()))
                    }
                    _ => (false, rest),
                };
                Self::Save { file: file.filter(|file| !file.is_empty()).map(PathBuf::from), replace }
            }
            ("load", Some(file)) => Self::Load(PathBuf::from(file)),
            ("load", None) => Self::LoadWhat,
            ("tools", file) => Self::Tools(file.map(PathBuf::from)),
            ("new", id) => Self::New(id.map(str::to_owned)),
            ("help" | "?", _) => Self::Help,
            ("quit" | "exit" | "q", _) => Self::Quit,
            _ => Self::Unknown(format!("/{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_a_message_or_nothing() {
        let path = |file: &str| PathBuf::from(file);
        let save = |file: Option<&str>, replace| Line::Save { file: file.map(PathBuf::from), replace };
        for (line, means) in [
            ("", Line::Empty),
            ("  ", Line::Empty),
            ("hello there", Line::Message("hello there".into())),
            ("//etc is a folder", Line::Message("/etc is a folder".into())),
            ("/save", save(None, false)),
            ("/save my chat.json ", save(Some("my chat.json"), false)),
            ("/save --replace my chat.json ", save(Some("my chat.json"), true)),
            ("/save --replace", save(None, true)),
            ("/save --replacement.json", save(Some("--replacement.json"), false)),
            ("/load a.json", Line::Load(path("a.json"))),
            ("/load", Line::LoadWhat),
            ("/tools my tools.json", Line::Tools(Some(path("my tools.json")))),
            ("/tools", Line::Tools(None)),
            ("/new", Line::New(None)),
            ("/new b", Line::New(Some("b".into()))),
            ("/help", Line::Help),
            ("/quit", Line::Quit),
            ("/savee x", Line::Unknown("/savee".into())),
            ("/", Line::Unknown("/".into())),
        ] {
            assert_eq!(Line::parse(line), means, "{line:?}");
        }
    }
}
