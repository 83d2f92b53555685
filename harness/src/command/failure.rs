//! What a subcommand could not do, told so that the reader knows what to do next. Names, and what others said, are in it: every
//! text is made fit for a terminal as it comes in, because what goes out is coloured.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};
use thiserror::Error;

use super::colour;
use crate::config::{ConfigError, Wrong};
use crate::exit::Exit;
use crate::{printing, text};

/// Why a subcommand ended without doing what it was asked to do.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
pub(super) struct Failure {
    message: String,
    #[help]
    help: Option<String>,
    /// The file that is wrong, and where.
    #[source_code]
    file: Option<Arc<NamedSource<String>>>,
    #[label(collection)]
    places: Vec<LabeledSpan>,
    exit: Exit,
}

impl Failure {
    /// Something that is needed is missing or does not work.
    pub(super) fn setup(message: impl Display) -> Self {
        let message = text::shown(&message.to_string()).into_owned();
        Self { message, help: None, file: None, places: Vec::new(), exit: Exit::SetUp }
    }

    /// A configuration file cannot be used; its line is shown.
    pub(super) fn config(error: &ConfigError) -> Self {
        match error {
            ConfigError::Io { path, reason } => {
                let named = format!("the configuration {} cannot be read: {reason}", path.display());
                Self::setup(named).help("check the path; `intact init` writes a configuration to begin with")
            }
            ConfigError::Wrong(wrong) => {
                let Wrong { path, text: source, span, message } = &**wrong;
                let place = LabeledSpan::underline(span.start..span.end.max(span.start + 1));
                let name = text::line(&path.display().to_string());
                let file = NamedSource::new(name, text::source(source)).with_language("toml");
                Self { file: Some(Arc::new(file)), places: vec![place], ..Self::setup(message) }
            }
        }
    }

    /// No folder is known to keep things in between runs.
    pub(super) fn homeless(option: &str) -> Self {
        Self::setup("no home folder is known")
            .help(format!("name a folder with {option}, or set INTACT_HOME"))
    }

    /// The output could not be written.
    #[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
    pub(super) fn output(error: io::Error) -> Self {
        Self::setup(format!("the output could not be written: {error}"))
    }

    /// A file could not be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let failure = Self::setup(format!("{} cannot be read: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failure.help("check the path; it is taken relative to the working directory")
            }
            io::ErrorKind::IsADirectory => failure.help("give the file itself, not its folder"),
            _ => failure,
        }
    }

    /// Nothing is overwritten: none of these files may be there.
    pub(super) fn unless_free(files: &[&Path]) -> Result<(), Self> {
        // A link that leads nowhere is there too.
        match files.iter().find(|file| file.symlink_metadata().is_ok()) {
            Some(there) => Err(Self::setup(format!("{} is there already", there.display()))
                .help("name another file with --out; nothing is overwritten")),
            None => Ok(()),
        }
    }

    /// The same, begun with what was not done.
    pub(super) fn but(self, undone: &str) -> Self {
        Self { message: format!("{undone}: {}", self.message), ..self }
    }

    /// What to do about it.
    pub(super) fn help(self, help: impl Display) -> Self {
        Self { help: Some(text::shown(&help.to_string()).into_owned()), ..self }
    }

    /// One more thing to know, after what there is.
    pub(super) fn also(self, help: impl Display) -> Self {
        let all = self.help.as_ref().map_or_else(|| help.to_string(), |first| format!("{first}\n{help}"));
        self.help(all)
    }

    /// Ends with another exit code.
    pub(super) fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Writes it to standard error and gives the exit code.
    pub(super) fn report(&self) -> Exit {
        printing::coloured(&(self.rendered(colour::on_errors()) + "\n"));
        self.exit
    }

    fn rendered(&self, fancy: bool) -> String {
        let theme = if fancy { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(100)
            // Whoever searches a log for a message finds it in one line.
            .with_wrap_lines(fancy)
            .with_links(false);
        match handler.render_report(&mut text, self) {
            Ok(()) => text.trim_end().to_owned(),
            Err(_) => self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_line_of_a_file_is_shown_with_the_name_that_was_meant() {
        let text = "version = 1\n\n[run]\nplam = \"pr\"\n";
        let error = ConfigError::at(
            19..23,
            "there is no `plam`; did you mean `plan`?".into(),
            text,
            Path::new("intact.toml"),
        );
        let shown = Failure::config(&error).rendered(false);
        for part in ["did you mean `plan`?", "intact.toml:4:1", "4 │ plam = \"pr\""] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn a_missing_file_is_named_and_the_reader_is_told_what_to_check() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        let failure = Failure::unreadable(Path::new("chat.json"), &error);
        let text = failure.rendered(false);
        assert!(text.contains("chat.json cannot be read") && text.contains("check the path"), "{text}");
        assert_eq!(failure.exit, Exit::SetUp);
    }
}
