//! What the intact harness and its workers say to each other.
//!
//! JSON Lines on stdio: the harness writes one [`Envelope`] a line to the worker's standard input, the worker
//! answers each with exactly one [`Answer`] line that echoes `seq`, in order. A request that asked for a stream
//! may be preceded by [`Answer::Event`] lines of the same `seq`. Standard error is free text and kept as the
//! cell's log. Bulk data (logits, session files) travels as files, never as JSON.
//!
//! A worker must answer a request that it does not know with [`Outcome::Unsupported`]; the harness probes that
//! before it trusts a worker with a cell.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod answer;
mod cage;
mod failure;
mod line;
mod logits;
#[cfg(unix)]
mod orphan;
mod request;

pub use answer::{
    AFRESH, Adopted, Answer, AxisReport, Checked, Hello, Loaded, Message, Opened, Outcome, Receipt, Refusal,
    Replied, Said, Saved, Scored, Timings, ToolCall,
};
pub use cage::{CAGE, CAGED_FILES, CAGED_NETWORK, Cage, OFF};
pub use failure::{Operation, WorkerError, operation};
pub use line::{LineError, UnknownRequest, parse_answer, parse_envelope, write_line};
pub use logits::{Logits, LogitsError, Oracle};
#[cfg(unix)]
pub use orphan::end_with_the_reader;
pub use request::{
    Adopt, Check, CleanUp, Envelope, FlashAttention, Floor, Forget, Give, HelloRequest, Inputs, Load, Open,
    ParameterSource, Request, Role, Sampling, Save, Say, Score, Settings, Start, TINY_MODEL, Work,
};

/// The protocol version this crate speaks. A worker that speaks another one is refused at `hello`.
pub const PROTOCOL: u32 = 1;
