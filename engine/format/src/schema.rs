//! The published JSON Schemas of documents.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use crate::manifest::Manifest;
use crate::preset::PresetDocument;
use crate::session::{DocumentV1_0, DocumentV1_1, DocumentV2_0, DocumentV2_1, DocumentV2_2};

/// A schema that is published.
#[derive(Debug, Clone, Copy)]
pub struct PublishedSchema {
    /// Its name: `session-2.0`, `manifest`, ...
    pub name: &'static str,
    generate: fn() -> Value,
}

/// Every schema that is published.
pub const SCHEMAS: [PublishedSchema; 7] = [
    PublishedSchema { name: "session-1.0", generate: of::<DocumentV1_0> },
    PublishedSchema { name: "session-1.1", generate: of::<DocumentV1_1> },
    PublishedSchema { name: "session-2.0", generate: of::<DocumentV2_0> },
    PublishedSchema { name: "session-2.1", generate: of::<DocumentV2_1> },
    PublishedSchema { name: "session-2.2", generate: of::<DocumentV2_2> },
    PublishedSchema { name: "manifest", generate: of::<Manifest> },
    PublishedSchema { name: "preset", generate: of::<PresetDocument> },
];

impl PublishedSchema {
    /// The schema of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SCHEMAS.into_iter().find(|schema| schema.name == name)
    }

    /// The file in `schemas/` that holds it.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}.schema.json", self.name)
    }

    /// The schema.
    #[must_use]
    pub fn value(self) -> Value {
        (self.generate)()
    }

    /// The text of its file.
    #[must_use]
    pub fn text(self) -> String {
        format!("{:#}\n", sorted(self.value()))
    }
}

fn of<T: JsonSchema>() -> Value {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    generator.into_root_schema_for::<T>().to_value()
}

/// Keys in alphabetical order, whichever order this build of the JSON library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
