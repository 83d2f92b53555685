//! How much a template may make: bytes of text and values, over one rendering.

use std::cell::Cell;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State};

use super::measured::{FACTOR, MEASURED, MEMBER};

/// Bytes that one text may have, beside what the chat itself has.
const LONGEST_TEXT: u64 = 4 << 20;
/// Bytes of all texts that are joined, kept or written, beside what the chat itself has.
const ALL_TEXT: u64 = 128 << 20;
/// So many times the chat's own bytes may be in one text, and in all.
const CHAT_IN_ONE: u64 = 4;
const CHAT_IN_ALL: u64 = 64;
/// Values that may lie in one.
const MOST_VALUES: u64 = 1 << 18;
/// Values that are looked at.
const ALL_VALUES: u64 = 1 << 26;
/// Lists and maps that may lie within each other.
const DEEPEST: usize = 64;
/// Greatest number that says how often or how far something is repeated.
const GREATEST_COUNT: i64 = 10_000;
/// Most digits of a width in a format.
const MOST_DIGITS: usize = 4;

/// What is left of a rendering's room.
#[derive(Debug, Clone, Copy)]
struct Room {
    longest: u64,
    bytes: u64,
    values: u64,
}

thread_local! {
    // A rendering has a thread of its own.
    static ROOM: Cell<Room> = const { Cell::new(Room { longest: 0, bytes: 0, values: 0 }) };
}

/// Begins a rendering of a chat of so many bytes.
pub(super) fn begin(chat: u64) {
    ROOM.set(Room {
        longest: LONGEST_TEXT + CHAT_IN_ONE * chat,
        bytes: ALL_TEXT + CHAT_IN_ALL * chat,
        values: ALL_VALUES,
    });
}

/// Puts what measures into an environment, in place of what would make more than its input justifies.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_function(MEASURED, |value: Value| measure(&value, true).map(|()| value));
    environment.add_function(MEMBER, |value: Value| measure(&value, false).map(|()| value));
    environment.add_function(FACTOR, |value: Value| factor(&value).map(|()| value));
    environment.set_formatter(write);
    guard(environment, "indent", minijinja::filters::indent, counts);
    guard(environment, "batch", minijinja::filters::batch, counts);
    guard(environment, "slice", minijinja::filters::slice, counts);
    guard(environment, "join", minijinja::filters::join, joins);
    guard(environment, "replace", minijinja::filters::replace, replaces);
    guard(environment, "format", minijinja::filters::format, formats);
    environment.set_unknown_method_callback(|state, value, method, arguments| {
        let all: Vec<Value> = std::iter::once(value).chain(arguments).cloned().collect();
        match method {
            "join" => joins(&[all.get(1).cloned().unwrap_or_default(), value.clone()])?,
            "replace" => replaces(&all)?,
            "format" => formats(&all)?,
            _ => {}
        }
        minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
    });
}

/// Replaces a filter by one that looks at its arguments first.
fn guard<F, Result_, Args>(
    environment: &mut Environment<'static>,
    name: &'static str,
    filter: F,
    check: fn(&[Value]) -> Result<(), Error>,
) where
    F: minijinja::functions::Function<Result_, Args>,
    Result_: minijinja::value::FunctionResult,
    Args: for<'a> minijinja::value::FunctionArgs<'a>,
{
    let filter = Value::from_function(filter);
    environment.add_filter(name, move |state: &State<'_, '_>, arguments: Rest<Value>| {
        check(&arguments)?;
        filter.call(state, &arguments)
    });
}

fn write(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    measure(value, true)?;
    minijinja::escape_formatter(out, state, value)
}

/// Counts a value against the room that is left. A `whole` namespace is one; within another value it is none, since a value
/// that holds itself has no end.
pub(super) fn measure(value: &Value, whole: bool) -> Result<(), Error> {
    let mut values = MOST_VALUES;
    measure_in(value, 0, whole, &mut values)
}

fn measure_in(value: &Value, depth: usize, whole: bool, values: &mut u64) -> Result<(), Error> {
    *values = values.checked_sub(1).ok_or_else(|| beyond("a value with too many parts"))?;
    charge(0, 1)?;
    if let Some(bytes) = value.as_bytes() {
        return charge(bytes.len() as u64, 0);
    }
    if depth > DEEPEST {
        return Err(beyond("a value that lies too deep in others"));
    }
    let part = |part: &Value, values: &mut u64| measure_in(part, depth + 1, false, values);
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|item| part(&item, values)),
        ValueKind::Map => {
            if !whole && is_namespace(value) {
                return Err(beyond("a namespace within another value"));
            }
            value.try_iter()?.try_for_each(|key| {
                part(&key, values)?;
                part(&value.get_item(&key)?, values)
            })
        }
        _ => Ok(()),
    }
}

fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

fn charge(bytes: u64, values: u64) -> Result<(), Error> {
    let room = ROOM.get();
    if bytes > room.longest {
        return Err(beyond("a text that is too long"));
    }
    let left = room.bytes.checked_sub(bytes).zip(room.values.checked_sub(values));
    let (bytes, values) = left.ok_or_else(|| beyond("too much in all"))?;
    ROOM.set(Room { bytes, values, ..room });
    Ok(())
}

/// Lists are not repeated: no template needs it, and what comes of it has no bound.
fn factor(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => Err(beyond("a list that is repeated")),
        _ => measure(value, true),
    }
}

/// Would so many bytes be too many?
fn fits(bytes: u64) -> Result<(), Error> {
    if bytes > ROOM.get().longest { Err(beyond("a text that is too long")) } else { Ok(()) }
}

fn length(value: Option<&Value>) -> u64 {
    value.and_then(Value::as_bytes).map_or(0, |bytes| bytes.len() as u64)
}

fn counts(arguments: &[Value]) -> Result<(), Error> {
    let Some((value, arguments)) = arguments.split_first() else { return Ok(()) };
    measure(value, true)?;
    let mut greatest = 0;
    for argument in arguments {
        let within = Kwargs::try_from(argument.clone()).ok();
        let named = within.iter().flat_map(|kwargs| {
            kwargs.args().filter_map(|name| kwargs.peek::<Value>(name).ok()).collect::<Vec<_>>()
        });
        for count in named.chain([argument.clone()]).filter_map(|value| value.as_i64()) {
            greatest = count.max(greatest);
        }
    }
    if greatest > GREATEST_COUNT {
        return Err(beyond(&format!("{greatest} repetitions")));
    }
    let lines = value.as_str().map_or(0, |text| text.matches('\n').count() as u64 + 1);
    fits(lines.saturating_mul(greatest.unsigned_abs()))
}

/// A list and what stands between its parts.
fn joins(arguments: &[Value]) -> Result<(), Error> {
    let Some(list) = arguments.first() else { return Ok(()) };
    measure(list, true)?;
    let parts = list.try_iter().map_or(0, |parts| parts.count() as u64);
    fits(parts.saturating_mul(length(arguments.get(1))))
}

/// A text, what is replaced in it, and by what.
fn replaces(arguments: &[Value]) -> Result<(), Error> {
    let [text, from, ..] = arguments else { return Ok(()) };
    let (Some(text), Some(from)) = (text.as_str(), from.as_str()) else { return Ok(()) };
    let found = text.matches(from).count() as u64;
    fits((text.len() as u64).saturating_add(found.saturating_mul(length(arguments.get(2)))))
}

/// A format and what is put into it.
fn formats(arguments: &[Value]) -> Result<(), Error> {
    arguments.iter().try_for_each(|argument| measure(argument, true))?;
    let Some(format) = arguments.first().and_then(Value::as_str) else { return Ok(()) };
    let wide = format.split(|sign: char| !sign.is_ascii_digit()).any(|digits| digits.len() > MOST_DIGITS);
    if wide || format.contains('*') {
        return Err(beyond("a format with a width that is too large, or none of its own"));
    }
    Ok(())
}

fn beyond(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("the template makes {what}"))
}
