//! A configuration over toys, in which every run takes seconds: what the self-test is made of.

use crate::config::Config;
use intact_matrix::Thresholds;

/// The beginning of a toy configuration: a plan of everything over one axis beside the models; subjects and models follow.
const HEAD: &str = include_str!("toy.toml");

/// The thresholds of the built-in configuration.
#[must_use]
pub fn thresholds() -> Thresholds {
    Config::built_in()
        .map(|config| config.thresholds)
        .unwrap_or_else(|error| unreachable!("the built-in configuration: {error}"))
}

/// A toy configuration with models, by name and file, and subjects: name, part, and command line.
#[must_use]
pub fn config<'a>(
    models: impl IntoIterator<Item = (&'a str, String)>,
    subjects: impl IntoIterator<Item = (&'a str, &'a str, Vec<String>)>,
) -> String {
    let value = toml::Value::try_from(thresholds());
    let thresholds =
        value.map(|value| toml::Table::from_iter([("thresholds".to_owned(), value)]).to_string());
    let thresholds = thresholds.unwrap_or_else(|error| unreachable!("thresholds are numbers: {error}"));
    let models =
        models.into_iter().map(|(name, path)| format!("\n[[models]]\nname = {name:?}\npath = {path:?}\n"));
    let head = HEAD.to_owned() + "\n" + &thresholds + &models.collect::<String>();
    subjects.into_iter().fold(head, |text, (name, part, command)| text + &subject(name, part, &command))
}

/// A subject, to be added to a toy configuration.
#[must_use]
pub fn subject(name: &str, part: &str, command: &[String]) -> String {
    format!("\n[[subjects]]\nname = {name:?}\npart = {part:?}\ncommand = {command:?}\n")
}
