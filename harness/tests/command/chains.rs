//! `chains` over real releases: sessions of intact come through, and what breaks llama.cpp's own files is found.

use std::fs;
use std::process::Command;

use super::cli::{loaded_worker, said};

#[test]
#[ignore = "needs libraries that `intact tags fetch` brings: the step `releases` of ci/test runs it"]
fn sessions_of_intact_come_through_and_files_break_where_it_is_known() {
    assert!(loaded_worker().is_file());
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("chains.json");
    let output = Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(["chains", "b8390", "b9842", "0.5.0", "--paths", "40", "--model", "llama", "--out"])
        .arg(&out)
        .env("NO_COLOR", "1")
        .output();
    let said = said(&output.expect("the command runs"));
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let found: serde_json::Value = serde_json::from_slice(&fs::read(&out).expect("written")).expect("JSON");
    for subject in found["subjects"].as_array().expect("a list") {
        let fates = &subject["fates"];
        if subject["subject"] == "engine" {
            assert_eq!(fates["intact"], subject["paths"], "{subject}");
            continue;
        }
        // b8390 has K and V as they are, and the others have them turned: quantized files break between them, and nowhere else.
        for shortest in subject["shortest"].as_array().expect("a list") {
            let path: Vec<&str> =
                shortest["path"].as_array().expect("a list").iter().filter_map(|one| one.as_str()).collect();
            assert_eq!(path.len(), 2, "{subject}");
            assert!(path.contains(&"b8390") || path.contains(&"0.5.0"), "{subject}");
        }
    }
}

/// b8352 has the matrices of gated delta nets the other way round than b8179, and b7836 writes no V of latent attention as b7698 does:
/// no version says so. llama.cpp's own files are lost between them, and sessions of intact are evaluated again, never trusted.
#[test]
#[ignore = "needs libraries that `intact tags fetch` brings: the step `releases` of ci/test runs it"]
fn states_that_changed_without_a_version_are_evaluated_again_and_never_trusted() {
    assert!(loaded_worker().is_file());
    let folder = tempfile::tempdir().expect("a folder");
    for (model, older, newer) in [("qwen3next", "b8179", "b8352"), ("deepseek2", "b7698", "b7836")] {
        let fetched =
            Command::new(env!("CARGO_BIN_EXE_intact")).args(["tags", "fetch", older, newer]).output();
        let fetched = said(&fetched.expect("the command runs"));
        assert_eq!(fetched.code, 0, "{older}, {newer}: {}{}", fetched.out, fetched.err);
        let out = folder.path().join(format!("{model}.json"));
        let output = Command::new(env!("CARGO_BIN_EXE_intact"))
            .args(["chains", older, newer, "--paths", "6", "--longest", "4", "--model", model, "--kv", "f16"])
            .arg("--out")
            .arg(&out)
            .env("NO_COLOR", "1")
            .output();
        let said = said(&output.expect("the command runs"));
        assert_eq!(said.code, 0, "{model}: {}{}", said.out, said.err);
        let found: serde_json::Value =
            serde_json::from_slice(&fs::read(&out).expect("written")).expect("JSON");
        let [engine, blind] = [&found["subjects"][0], &found["subjects"][1]];
        assert_eq!(engine["fates"]["intact"], 6, "{model}: {}", said.out);
        assert_eq!(engine["again"], engine["loads"], "{model}: every load is a crossing: {}", said.out);
        assert_eq!(blind["fates"].get("intact"), None, "{model}: {}", said.out);
    }
}
