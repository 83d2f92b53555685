//! The Jinja environment that Hugging Face's tools give to chat templates.

use std::io;

use jiff::civil::{Date, DateTime};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::TemplateError;

/// Name of the only template in an environment.
pub(super) const NAME: &str = "chat";
/// Instructions that one rendering may take: a bound for templates that never end.
const FUEL: u64 = 50_000_000;

/// What a template said when it refused a chat.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

pub(super) fn environment(source: &str, today: Date) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(false);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", move |format: &str| strftime(today, format));
    environment.add_filter("tojson", tojson);
    environment
        .add_template_owned(NAME, without_generation_marks(source))
        .map_err(|error| TemplateError::from_jinja(&error))?;
    Ok(environment)
}

/// `{% generation %}` marks the assistant's text for training; for rendering it is a block that is always taken.
fn without_generation_marks(source: &str) -> String {
    let mut text = source.to_owned();
    for (mark, plain) in [("generation", "if true"), ("endgeneration", "endif")] {
        for open in ["{%", "{%-"] {
            for close in ["%}", "-%}"] {
                text = text.replace(&format!("{open} {mark} {close}"), &format!("{open} {plain} {close}"));
            }
        }
    }
    text
}

fn raise_exception(reason: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "the template raised an exception")
        .with_source(Raised(reason)))
}

fn strftime(today: Date, format: &str) -> Result<String, Error> {
    let midnight: DateTime = today.into();
    jiff::fmt::strtime::format(format, midnight)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))
}

/// JSON as Python's `json.dumps` writes it: a space after commas and colons, no HTML escapes.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja calls filters with")]
fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.get::<Option<bool>>("ensure_ascii")?;
    options.get::<Option<bool>>("sort_keys")?;
    options.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = vec![b' '; width.min(16)];
            let formatter = PrettyFormatter::with_indent(&spaces);
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, PythonFormatter)),
    };
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    String::from_utf8(out).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
