//! The published JSON Schemas: of every file that intact reads or writes, and of what workers and the harness say.

use intact_format::schema::SCHEMAS;
use schemars::{Schema, schema_for};
use serde_json::Value;

use crate::config::Config;
use crate::expectation::ExpectationFile;
use crate::folder::{ArtifactEntry, Event, Manifest, Planned};
use crate::perf::comparison::Comparison;
use crate::perf::history::Entry;
use crate::report::Digest;
use crate::results::Results;

/// A published schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its name; the file is `schemas/<name>.schema.json`.
    pub name: &'static str,
    /// The text of the file.
    pub text: String,
}

/// Every published schema, by name.
#[must_use]
pub fn published() -> Vec<Published> {
    let of = |name, schema: Schema| Published { name, text: text(schema.to_value()) };
    let mut all = vec![
        of("config", schema_for!(Config)),
        of("chains", schema_for!(crate::chains::Found)),
        of("compat", schema_for!(crate::compat::Table)),
        of("corpus", schema_for!(crate::corpus::Corpus)),
        of("expectations", schema_for!(ExpectationFile)),
        of("report", schema_for!(Digest)),
        of("results", schema_for!(Results)),
        of("run", schema_for!(Manifest)),
        of("plan", schema_for!(Planned)),
        of("event", schema_for!(Event)),
        of("artifact", schema_for!(ArtifactEntry)),
        of("perf", schema_for!(Comparison)),
        of("perf-entry", schema_for!(Entry)),
        of("request", schema_for!(intact_protocol::Envelope)),
        of("answer", schema_for!(intact_protocol::Answer)),
    ];
    all.extend(SCHEMAS.map(|schema| Published { name: schema.name, text: schema.text() }));
    all.sort_by_key(|one| one.name);
    all
}

fn text(schema: Value) -> String {
    format!("{:#}\n", sorted(schema))
}

/// Keys in alphabetical order, whichever order this build of the JSON library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
