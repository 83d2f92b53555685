//! The published schemas are the ones of the code, and a run's results fit theirs.

use std::fs;
use std::path::PathBuf;

use intact_harness::schemas::published;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(format!("{name}.schema.json"))
}

#[test]
fn the_published_schemas_are_the_ones_of_the_code() {
    for schema in published() {
        let on_disk = fs::read_to_string(file(schema.name)).unwrap_or_default();
        assert!(
            on_disk == schema.text,
            "schemas/{}.schema.json is not what the code says; if the change is meant, run \
             `cargo test -p intact-harness --test schemas -- --ignored publish_the_schemas`",
            schema.name
        );
    }
}

#[test]
#[ignore = "writes the published schemas"]
fn publish_the_schemas() {
    for schema in published() {
        fs::write(file(schema.name), schema.text).expect("written");
    }
}

#[test]
fn every_schema_names_its_dialect() {
    for schema in published() {
        let value: serde_json::Value = serde_json::from_str(&schema.text).expect("JSON");
        assert!(value.get("$schema").is_some(), "{}", schema.name);
    }
}
