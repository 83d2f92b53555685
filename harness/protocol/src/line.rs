//! Lines: one JSON value each, parsed without guessing.

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::{Answer, Envelope, Request};

/// Why a line could not be read.
#[derive(Debug, Error)]
pub enum LineError {
    /// Not JSON, or not of the protocol's form.
    #[error("not a line of the protocol: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The `op` is not one this worker knows; answer `unsupported`.
    #[error(transparent)]
    Unknown(#[from] UnknownRequest),
}

/// A well-formed request for an operation that this crate does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("request {seq} asks for the unknown operation `{op}`")]
pub struct UnknownRequest {
    /// Number of the request, to be echoed.
    pub seq: u64,
    /// The operation that was asked for.
    pub op: String,
}

/// Reads a request line, telling an unknown operation from a malformed line.
///
/// # Errors
/// [`LineError::Unknown`] for an operation that this version does not know, [`LineError::Malformed`] otherwise.
pub fn parse_envelope(line: &str) -> Result<Envelope, LineError> {
    let value: serde_json::Value = serde_json::from_str(line)?;
    let op = value.pointer("/request/op").and_then(|op| op.as_str()).map(str::to_owned);
    let seq = value.get("seq").and_then(serde_json::Value::as_u64);
    serde_json::from_value(value).map_err(|error| match (seq, op) {
        (Some(seq), Some(op)) if !Request::OPERATIONS.contains(&op.as_str()) => {
            UnknownRequest { seq, op }.into()
        }
        _ => error.into(),
    })
}

/// Reads an answer line.
///
/// # Errors
/// When the line is not a JSON value of the protocol's form.
pub fn parse_answer(line: &str) -> Result<Answer, LineError> {
    Ok(serde_json::from_str(line)?)
}

/// Writes one value as one line and flushes it.
///
/// # Errors
/// Those of the writer.
pub fn write_line(mut writer: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    writer.write_all(&line)?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HelloRequest, Outcome};

    #[test]
    fn an_unknown_operation_is_told_from_a_malformed_line() {
        let unknown = parse_envelope(r#"{"seq":7,"request":{"op":"levitate"}}"#);
        assert!(
            matches!(unknown, Err(LineError::Unknown(UnknownRequest { seq: 7, op })) if op == "levitate")
        );
        for malformed in ["", "{", "[]", r#"{"seq":1}"#, r#"{"seq":1,"request":{"op":"open"}}"#] {
            assert!(matches!(parse_envelope(malformed), Err(LineError::Malformed(_))), "{malformed}");
        }
    }

    #[test]
    fn every_known_operation_is_one_of_the_enum() {
        for op in Request::OPERATIONS {
            let line = format!(r#"{{"seq":1,"request":{{"op":"{op}"}}}}"#);
            assert!(!matches!(parse_envelope(&line), Err(LineError::Unknown(_))), "{op}");
        }
        assert_eq!(Request::Hello(HelloRequest { protocol: 1 }), {
            let line = r#"{"seq":1,"request":{"op":"hello","protocol":1}}"#;
            parse_envelope(line).expect("a hello").request
        });
        let floor = parse_envelope(r#"{"seq":1,"request":{"op":"floor","work":"fold","bytes":8,"times":1}}"#);
        assert_eq!(floor.expect("a floor").request.operation(), "floor");
    }

    #[test]
    fn an_answer_survives_its_line() {
        let answer = Answer::Reply { seq: 3, outcome: Outcome::error("no") };
        let mut line = Vec::new();
        write_line(&mut line, &answer).expect("written");
        assert_eq!(line.last(), Some(&b'\n'));
        assert_eq!(parse_answer(std::str::from_utf8(&line).expect("utf-8")).expect("parsed"), answer);
    }
}
