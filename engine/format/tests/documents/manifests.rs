//! The manifest beside a session file, as the seed shows it.

use std::path::Path;

use intact_format::manifest::Manifest;
use intact_format::passport::{Axis, Consequence, Passport, worst};
use intact_format::route::RefusalCode;

use crate::sample;

/// The example of the seed's portability page.
const SEED: &str = r#"{
  "sessionFile": "support-ticket-1234.json",
  "sdkVersion": "26.5.0",
  "releaseTag": "b8816",
  "preset": "Qwen25Preset",
  "modelRepo": "bartowski/Qwen2.5-7B-Instruct-GGUF",
  "modelFile": "Qwen2.5-7B-Instruct-Q4_K_M.gguf",
  "savedAt": "2026-04-23T12:00:00Z"
}
"#;

fn here() -> Passport {
    let mut here = sample::passport();
    here.engine = "26.5.0".to_owned();
    here.release = "b8816".to_owned();
    here.model.repository = Some("bartowski/Qwen2.5-7B-Instruct-GGUF".to_owned());
    here.model.file = "Qwen2.5-7B-Instruct-Q4_K_M.gguf".to_owned();
    here
}

#[test]
fn the_seeds_example_is_read_and_written_as_it_is() {
    let manifest = Manifest::read(SEED.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(manifest.write().unwrap()).unwrap(), SEED);
    let path = Path::new("/archive/support-ticket-1234.json");
    assert_eq!(Manifest::path_of(path), Path::new("/archive/session.manifest.json"));
    assert_eq!(Manifest::of(&here(), path), manifest);
}

#[test]
fn the_same_configuration_passes() {
    let manifest = Manifest::read(SEED.as_bytes()).unwrap();
    assert_eq!(manifest.check("support-ticket-1234.json".as_ref(), &here()), Ok(()));
}

#[test]
fn each_axis_that_differs_is_named() {
    // (axis, how to differ, whether the check refuses, what follows for a session without a passport)
    type Row = (Axis, fn(&mut Passport), bool, Consequence);
    let table: [Row; 10] = [
        (Axis::Engine, |p| p.engine = "27.0.0".to_owned(), true, Consequence::Harmless),
        (Axis::Engine, |p| p.engine = "26.4.9".to_owned(), true, Consequence::Harmless),
        (Axis::Engine, |p| p.engine = "26.6.0".to_owned(), false, Consequence::Same),
        (Axis::Engine, |p| p.engine = "26.5.9".to_owned(), false, Consequence::Same),
        (Axis::Engine, |p| p.engine = "next".to_owned(), true, Consequence::Harmless),
        (Axis::Release, |p| p.release = "b8817".to_owned(), true, Consequence::Harmless),
        (Axis::Preset, |p| p.preset = None, true, Consequence::Harmless),
        (Axis::ModelFile, |p| p.model.file = "other.gguf".to_owned(), true, Consequence::Replay),
        (Axis::ModelRepository, |p| p.model.repository = Some("a/b".to_owned()), true, Consequence::Replay),
        (Axis::ModelRepository, |p| p.model.repository = None, false, Consequence::Same),
    ];
    let manifest = Manifest::read(SEED.as_bytes()).unwrap();
    for (axis, differ, refuses, consequence) in table {
        let mut here = here();
        differ(&mut here);
        let checked = manifest.check("support-ticket-1234.json".as_ref(), &here);
        assert_eq!(checked.is_err(), refuses, "{axis}");
        if let Err(refusal) = checked {
            assert_eq!(refusal.code, RefusalCode::ManifestDiffers);
            assert_eq!(refusal.axes.iter().map(|axis| axis.axis).collect::<Vec<_>>(), [axis]);
        }
        assert_eq!(worst(&manifest.compare(&here)), consequence, "{axis}");
    }
}

#[test]
fn the_refusal_says_what_differs_and_what_to_do() {
    let mut here = here();
    here.release = "b9000".to_owned();
    here.model.file = "Qwen2.5-7B-Instruct-Q8_0.gguf".to_owned();
    let refusal = Manifest::read(SEED.as_bytes()).unwrap().check("support-ticket-1234.json".as_ref(), &here);
    insta::assert_snapshot!(refusal.unwrap_err());
}

#[test]
fn the_manifest_of_another_session_is_refused() {
    let refusal =
        Manifest::read(SEED.as_bytes()).unwrap().check("ticket-9.json".as_ref(), &here()).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ManifestDiffers);
    insta::assert_snapshot!(refusal, @"the manifest is the one of support-ticket-1234.json, not of ticket-9.json; use the configuration that it names, or load without comparing it");
}

#[test]
fn what_is_no_manifest_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        &SEED.replace("\"preset\"", "\"pre-set\""),
        &SEED.replace("12:00", "25:00"),
        &SEED[..90],
    ] {
        assert!(Manifest::read(text.as_bytes()).is_err(), "{text}");
    }
}
