//! The published schemas are the ones of the code, and documents fit them.

use std::fs;
use std::path::PathBuf;

use intact_format::manifest::Manifest;
use intact_format::parameters::{Parameters, ParametersOverlay};
use intact_format::preset::PresetDocument;
use intact_format::schema::{PublishedSchema, SCHEMAS};
use intact_format::session;
use intact_format::version::FormatVersion;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sample;

fn published(schema: PublishedSchema) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(schema.file_name())
}

#[test]
fn the_published_schemas_are_the_ones_of_the_code() {
    for schema in SCHEMAS {
        let text = fs::read_to_string(published(schema)).unwrap_or_default();
        assert!(
            text == schema.text(),
            "schemas/{} is not what the code says; if the change is meant, run \
             `cargo test -p intact-format --test documents -- --ignored publish_the_schemas`",
            schema.file_name()
        );
    }
}

#[test]
#[ignore = "writes the published schemas"]
fn publish_the_schemas() {
    for schema in SCHEMAS {
        fs::write(published(schema), schema.text()).unwrap();
    }
}

/// A released version of the session file never changes: this fails where its schema does.
#[test]
fn the_fields_of_every_document_are_as_they_were() {
    for schema in SCHEMAS {
        insta::assert_snapshot!(schema.name, outline(&schema.value()));
    }
}

/// Every field on a line of its own, with its type and whether it must be there.
fn outline(schema: &Value) -> String {
    let mut lines = fields("", schema);
    for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
        lines.extend(fields(name, definition));
    }
    lines.sort();
    lines.join("\n")
}

fn fields(of: &str, schema: &Value) -> Vec<String> {
    let mut lines = vec![];
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array().into_iter().flatten().any(|required| required == name);
        lines.push(format!("{of}.{name}{}: {}", if required { "" } else { "?" }, kind(field)));
    }
    for (at, variant) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
        let value = &variant["const"];
        let name = value.as_str().map_or_else(|| at.to_string(), str::to_owned);
        lines.push(format!("{of} is {name}"));
        lines.extend(fields(&format!("{of}/{name}"), variant));
    }
    for value in schema["enum"].as_array().into_iter().flatten() {
        lines.push(format!("{of} is {value}"));
    }
    lines
}

fn kind(field: &Value) -> String {
    let of = |values: &Value| {
        let values = values.as_array().into_iter().flatten();
        values.map(kind).collect::<Vec<_>>().join(" | ")
    };
    match field {
        Value::String(name) => name.clone(),
        field if field["$ref"].is_string() => field["$ref"].as_str().unwrap_or("").replace("#/$defs/", ""),
        field if field["anyOf"].is_array() => of(&field["anyOf"]),
        field if field["const"].is_string() => field["const"].to_string(),
        field if field["type"].is_array() => of(&field["type"]),
        field if field["items"].is_object() => format!("[{}]", kind(&field["items"])),
        field => field["type"].as_str().unwrap_or("any").to_owned(),
    }
}

fn check(name: &str, document: &Value) -> Result<(), String> {
    let schema = PublishedSchema::named(name).expect("a schema of that name").value();
    jsonschema::draft202012::new(&schema)
        .expect("a schema")
        .validate(document)
        .map_err(|error| error.to_string())
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn every_session_that_is_written_fits_the_schema_of_its_version(
        text in sample::sessions(),
        whole in sample::whole_chats(),
    ) {
        for (session, version) in [&text, &whole].into_iter().flat_map(|s| FormatVersion::ALL.map(|v| (s, v))) {
            let document = parsed(&session::write(session, version).unwrap().bytes);
            prop_assert_eq!(check(&format!("session-{version}"), &document), Ok(()));
        }
    }
}

#[test]
fn manifests_and_presets_fit_their_schemas() {
    let manifest = Manifest::of(&sample::passport(), "a.json".as_ref());
    assert_eq!(check("manifest", &parsed(&manifest.write().unwrap())), Ok(()));
    let preset = PresetDocument {
        extends: "Qwen25Preset".to_owned(),
        parameters: ParametersOverlay::complete(&Parameters::default()).unwrap(),
        ..PresetDocument::default()
    };
    assert_eq!(check("preset", &serde_json::to_value(&preset).unwrap()), Ok(()));
    assert_eq!(
        check("preset", &json!({ "extends": "a", "parameters": { "ContextParameters": { "TypeK": null } } })),
        Ok(())
    );
}

#[test]
fn what_is_refused_does_not_fit_either() {
    let document = |edit: fn(&mut Value)| {
        let mut document =
            parsed(&session::write(&sample::whole_chat(), FormatVersion::CURRENT).unwrap().bytes);
        edit(&mut document);
        check(&format!("session-{}", FormatVersion::CURRENT), &document)
    };
    assert_eq!(document(|_| ()), Ok(()));
    let edits: [fn(&mut Value); 9] = [
        |d| d["Noise"]["median"] = json!(1),
        |d| d["Novelty"] = json!(1),
        |d| drop(d.as_object_mut().unwrap().remove("Digest")),
        |d| d["Digest"] = json!("md5:00"),
        |d| d["History"][0]["Role"] = json!("robot"),
        |d| d["TemplateInputs"]["Weather"] = json!("fine"),
        |d| d["History"][6]["ToolCalls"][0]["Type"] = json!("function"),
        |d| d["SessionId"] = json!(7),
        |d| d["Parameters"]["SamplerParameters"]["Heat"] = json!(1),
    ];
    for edit in edits {
        assert!(document(edit).is_err());
    }
}

#[test]
fn what_older_versions_do_not_know_does_not_fit_them() {
    for version in FormatVersion::ALL.into_iter().filter(|version| *version < FormatVersion::V2_2) {
        let mut document = parsed(&session::write(&sample::session(), version).unwrap().bytes);
        document["History"][0]["Role"] = json!("tool");
        assert!(check(&format!("session-{version}"), &document).is_err(), "{version}");
        let refused = session::read(&serde_json::to_vec(&document).unwrap(), FormatVersion::CURRENT);
        assert!(refused.is_err(), "{version}");
    }
}
