//! The published JSON Schemas: of every file that intact reads or writes, and of what workers and the harness say.

use schemars::{Schema, schema_for};

use crate::results::Results;

/// A published schema.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its name; the file is `schemas/<name>.schema.json`.
    pub name: &'static str,
    /// What it describes.
    pub about: &'static str,
    /// The schema.
    pub schema: Schema,
}

impl Published {
    /// The schema as a file has it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}", self.schema.as_value())
    }
}

/// Every published schema.
#[must_use]
pub fn published() -> Vec<Published> {
    let of = |name, about, schema| Published { name, about, schema };
    vec![
        of("results", "results.json, what a run found", schema_for!(Results)),
        of("request", "a line from the harness to a worker", schema_for!(intact_protocol::Envelope)),
        of("answer", "a line from a worker to the harness", schema_for!(intact_protocol::Answer)),
    ]
}
