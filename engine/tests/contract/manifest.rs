//! The manifest that the seed's page recommends to keep by hand and to compare before a load.

use std::fs;
use std::path::{Path, PathBuf};

use intact_engine::{LoadOptions, SaveOptions};
use serde_json::Value;

use crate::desk::{Desk, MODEL, code, engine_with, json, tuned};

fn desk() -> Desk {
    Desk::of(engine_with(MODEL, |options| {
        options.parameters = tuned();
        options.preset = Some("Qwen25Preset".to_owned());
        options.model_repository = Some("bartowski/Qwen2.5-7B-Instruct-GGUF".to_owned());
    }))
}

fn saved_with_manifest(desk: &mut Desk) -> (PathBuf, PathBuf) {
    let id = desk.chat("support-ticket-1234");
    let path = desk.path("support-ticket-1234.json");
    desk.engine.save(&id, &SaveOptions::to(&path).manifest(true)).expect("a save");
    (path, desk.path("session.manifest.json"))
}

fn compared() -> LoadOptions {
    LoadOptions::default().manifest(true)
}

fn edit(path: &Path, field: &str, value: &str) {
    let mut manifest = json(path);
    manifest[field] = value.into();
    fs::write(path, manifest.to_string()).expect("a file");
}

#[test]
fn a_save_can_write_the_manifest_with_exactly_the_fields_of_the_page() {
    let mut desk = desk();
    let (_, manifest) = saved_with_manifest(&mut desk);
    let manifest = json(&manifest);
    let mut fields: Vec<_> = manifest.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["modelFile", "modelRepo", "preset", "releaseTag", "savedAt", "sdkVersion", "sessionFile"]
    );
    assert_eq!(manifest["sessionFile"], "support-ticket-1234.json");
    assert_eq!(manifest["preset"], "Qwen25Preset");
    assert_eq!(manifest["modelRepo"], "bartowski/Qwen2.5-7B-Instruct-GGUF");
    assert_eq!(manifest["modelFile"], "llama.gguf");
    assert_eq!(manifest["sdkVersion"], env!("CARGO_PKG_VERSION"));
    let saved_at = manifest["savedAt"].as_str().expect("a time");
    assert!(saved_at.ends_with('Z') && saved_at.contains('T'), "{saved_at}");
}

#[test]
fn a_load_compares_the_manifest_against_the_current_configuration() {
    let mut desk = desk();
    let (path, _) = saved_with_manifest(&mut desk);
    desk.engine.load(&path, &compared()).expect("a load");
}

#[test]
fn a_load_aborts_if_any_axis_of_the_manifest_differs_and_names_it() {
    let table = [
        ("sdkVersion", "99.0.0", "engine"),
        ("releaseTag", "b1", "release"),
        ("preset", "Phi4Preset", "preset"),
        ("modelRepo", "someone/else", "model"),
        ("modelFile", "other.gguf", "model"),
        ("sessionFile", "other.json", "other.json"),
    ];
    for (field, value, named) in table {
        let mut desk = desk();
        let (path, manifest) = saved_with_manifest(&mut desk);
        edit(&manifest, field, value);
        let error = desk.engine.load(&path, &compared()).expect_err(field);
        assert_eq!(error.code(), Some("manifest-differs"), "{field}: {error}");
        let text = error.to_string();
        assert!(text.contains(named) && text.contains(value), "{field}: {text}");
    }
}

#[test]
fn the_same_major_and_a_higher_minor_version_on_the_load_side_is_no_difference() {
    let mut desk = desk();
    let (path, manifest) = saved_with_manifest(&mut desk);
    let here = env!("CARGO_PKG_VERSION");
    let (major, rest) = here.split_once('.').expect("a version");
    let minor: u32 = rest.split('.').next().and_then(|minor| minor.parse().ok()).expect("a version");
    if let Some(older) = minor.checked_sub(1) {
        edit(&manifest, "sdkVersion", &format!("{major}.{older}.7"));
        desk.engine.load(&path, &compared()).expect("a load");
    }
    edit(&manifest, "sdkVersion", &format!("{major}.{}.0", minor + 1));
    assert_eq!(code(desk.engine.load(&path, &compared())), "manifest-differs");
}

#[test]
fn a_missing_or_unreadable_manifest_is_refused_where_it_shall_be_compared() {
    let mut desk = desk();
    let (path, manifest) = saved_with_manifest(&mut desk);
    fs::write(&manifest, "{").expect("a file");
    assert_eq!(code(desk.engine.load(&path, &compared())), "manifest-invalid");
    fs::remove_file(&manifest).expect("a file");
    assert_eq!(code(desk.engine.load(&path, &compared())), "manifest-missing");
    desk.load(&path);
}

#[test]
fn check_aborts_on_the_manifest_as_a_load_does() {
    let mut desk = desk();
    let (path, manifest) = saved_with_manifest(&mut desk);
    desk.engine.check(&path, &compared()).expect("a check");
    edit(&manifest, "modelFile", "other.gguf");
    assert_eq!(code(desk.engine.check(&path, &compared())), "manifest-differs");
}

/// What is to be kept by hand is inside the file from format 1.1 on.
#[test]
fn the_manifest_is_inside_the_file_too() {
    let mut desk = desk();
    let id = desk.chat("inside");
    let path = desk.save_as(&id, "inside.json", intact_format::version::FormatVersion::V1_1);
    let text = fs::read_to_string(path).expect("a file");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert!(document.is_object());
    for value in ["Qwen25Preset", "bartowski/Qwen2.5-7B-Instruct-GGUF", "llama.gguf"] {
        assert!(text.contains(value), "{value}");
    }
}
