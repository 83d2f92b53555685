//! The Jinja environment that Hugging Face's tools give to chat templates.

use std::cell::Cell;
use std::{io, thread};

use jiff::civil::{Date, DateTime};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::marks::is_mark;
use super::measured::measured;
use super::{TemplateError, bounds};

/// Name of the only template in an environment.
pub(super) const NAME: &str = "chat";
/// Instructions that one rendering may take: a bound for templates that never end.
const FUEL: u64 = 10_000_000;
/// Bytes of stack for compiling and rendering. Only what is used is taken from memory.
const STACK: usize = 32 << 20;

/// What a template said when it refused a chat.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

pub(super) fn environment(source: &str) -> Result<Environment<'static>, TemplateError> {
    let source = measured(source)?;
    on_a_stack_of_its_own(|| {
        let mut environment = Environment::new();
        environment.set_keep_trailing_newline(true);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        bounds::install(&mut environment);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", |format: &str| strftime(TODAY.get(), format));
        environment.add_filter("tojson", tojson);
        environment.add_test("iterable", is_iterable);
        environment.add_template_owned(NAME, source).map_err(|error| TemplateError::from_jinja(&error))?;
        Ok(environment)
    })
}

thread_local! {
    // A rendering has a thread of its own.
    static TODAY: Cell<Date> = const { Cell::new(Date::ZERO) };
}

/// Renders the template of an environment on a day. `chat` says how many bytes the messages have.
pub(super) fn rendered(
    environment: &Environment<'static>,
    context: Value,
    chat: u64,
    today: Date,
) -> Result<String, TemplateError> {
    on_a_stack_of_its_own(|| {
        bounds::begin(chat);
        TODAY.set(today);
        environment
            .get_template(NAME)
            .and_then(|template| template.render(context))
            .map_err(|error| TemplateError::from_jinja(&error))
    })
}

/// Does something on a thread whose stack has room for all that a template may nest.
fn on_a_stack_of_its_own<T: Send>(
    work: impl FnOnce() -> Result<T, TemplateError> + Send,
) -> Result<T, TemplateError> {
    thread::scope(|scope| {
        let failed = |reason: String| TemplateError::Failed { reason };
        let worker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let worker = worker.map_err(|error| failed(format!("no thread for it: {error}")))?;
        worker.join().map_err(|_| failed("rendering it panicked".to_owned()))?
    })
}

/// Nothing is none of the things that one can go through, in Python's Jinja.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja calls tests with")]
fn is_iterable(value: Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
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
    let failed = |error: &dyn std::fmt::Display| Error::new(ErrorKind::BadSerialization, error.to_string());
    let indent: Option<usize> = options.get("indent")?;
    let only_ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    bounds::measure(&value, true)?;
    // Maps keep the order in which they were written; those of `serde_json` are sorted.
    let in_order = || serde_json::to_value(&value).map(Value::from_serialize).map_err(|error| failed(&error));
    let value = if sorted { in_order()? } else { value.clone() };
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = vec![b' '; width.min(16)];
            let formatter = PrettyFormatter::with_indent(&spaces);
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => {
            let formatter = match separators.as_deref() {
                Some([comma, colon]) => PythonFormatter { comma: comma.clone(), colon: colon.clone() },
                _ => PythonFormatter { comma: ", ".to_owned(), colon: ": ".to_owned() },
            };
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
    };
    written.map_err(|error| failed(&error))?;
    let text = String::from_utf8(out).map_err(|error| failed(&error))?;
    Ok(if only_ascii { in_ascii(&text) } else { text })
}

fn in_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        // Marks stand for texts of their own.
        if sign.is_ascii() || is_mark(sign) {
            out.push(sign);
        } else {
            sign.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

struct PythonFormatter {
    comma: String,
    colon: String,
}

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { self.comma.as_bytes() })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { self.comma.as_bytes() })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.colon.as_bytes())
    }
}
