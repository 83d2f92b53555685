//! One side rotates its quantized cache, the other does not: llama.cpp's `LLAMA_ATTN_ROT_DISABLE`, which is how sessions of
//! releases before the rotation look. The variable is read when a context is made, so the other side is another process.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use intact_engine::LoadOptions;
use intact_format::kv_type::KvType;
use intact_format::route::Route;
use intact_format::transcode::Loss;

use crate::desk::{Rows, live, load, of_kind, save};
use crate::distance::divergence;

const SWITCH: &str = "LLAMA_ATTN_ROT_DISABLE";
const FOLDER: &str = "INTACT_TEST_FOLDER";
const MODEL: &str = "INTACT_TEST_MODEL";
const KIND: &str = "INTACT_TEST_KV_TYPE";

/// What the side without rotation did, in its folder: `plain.json` is its session, `plain.rows` what its live session says,
/// `loaded.rows` what the session of the other side, `rotated.json`, says there, and `receipt` how it was loaded.
fn without_rotation(folder: &Path, model: &str, kind: KvType) {
    let status = Command::new(env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "rotation::the_side_without_rotation"])
        .env(SWITCH, "1")
        .env(FOLDER, folder)
        .env(MODEL, model)
        .env(KIND, kind.name())
        .output()
        .expect("another process");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
}

#[test]
#[ignore = "the other process of the tests below"]
fn the_side_without_rotation() {
    let variable =
        |name| env::var(name).unwrap_or_else(|_| panic!("{name} is set by the test that starts this"));
    let (folder, model) = (PathBuf::from(variable(FOLDER)), variable(MODEL));
    let form = of_kind(variable(KIND).parse().expect("a type"));
    save(&model, form, &folder.join("plain.json"));
    write(&folder.join("plain.rows"), &live(&model, form));
    let (receipt, rows) = load(&model, form, &folder.join("rotated.json"), &LoadOptions::default());
    write(&folder.join("loaded.rows"), &rows);
    fs::write(folder.join("receipt"), format!("{} {}", receipt.route, receipt.tokens_evaluated))
        .expect("written");
}

fn write(path: &Path, rows: &Rows) {
    fs::write(path, serde_json::to_vec(rows).expect("JSON")).expect("written");
}

fn read(path: &Path) -> Rows {
    serde_json::from_slice(&fs::read(path).expect("rows")).expect("JSON")
}

#[test]
fn a_quantized_session_crosses_the_rotation_both_ways() {
    for model in ["llama", "qwen3"] {
        for kind in [KvType::Q8_0, KvType::Q4_0] {
            let folder = tempfile::tempdir().expect("a folder");
            let at = |name: &str| folder.path().join(name);
            save(model, of_kind(kind), &at("rotated.json"));
            without_rotation(folder.path(), model, kind);

            let (truth, plain) = (live(model, of_kind(kind)), read(&at("plain.rows")));
            let floor = divergence(&truth, &plain);
            let (receipt, said) = load(model, of_kind(kind), &at("plain.json"), &LoadOptions::default());
            assert_eq!(receipt.route, Route::Transcoded, "{model} {kind}: {receipt:?}");
            assert_eq!(receipt.tokens_evaluated, 1, "{model} {kind}");
            let transcoding = receipt.transcoding.expect("transcoded");
            assert_eq!(transcoding.steps.loss(), Loss::Rounding, "{model} {kind}: the type stays what it is");
            let there = divergence(&truth, &said);
            assert_eq!(
                fs::read_to_string(at("receipt")).expect("a receipt"),
                "transcoded 1",
                "{model} {kind}"
            );
            let back = divergence(&plain, &read(&at("loaded.rows")));
            println!(
                "{model} {kind}: live {floor:.2e}, rotated {there:.2e}, unrotated {back:.2e}, canary {:?}",
                receipt.canary
            );
            // Quantizing twice costs at most what each costs, and live sessions of the two differ by both costs.
            assert!(there <= 2.0 * floor, "{model} {kind}: {there} of {floor}");
            assert!(back <= 2.0 * floor, "{model} {kind}: {back} of {floor}");
        }
    }
}

#[test]
fn half_floats_and_other_head_sizes_do_not_care() {
    for (model, kind) in [("llama", KvType::F16), ("qwen2", KvType::Q8_0)] {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        save(model, of_kind(kind), &at("rotated.json"));
        without_rotation(folder.path(), model, kind);
        let (receipt, said) = load(model, of_kind(kind), &at("plain.json"), &LoadOptions::default());
        assert_eq!(receipt.route, Route::Direct, "{model} {kind}");
        assert_eq!(said, live(model, of_kind(kind)), "{model} {kind}: bit for bit");
        assert_eq!(fs::read_to_string(at("receipt")).expect("a receipt"), "direct 1", "{model} {kind}");
    }
}

/// Latent attention is never rotated, though releases record a size for it: nothing may be turned.
#[test]
fn latent_attention_keeps_its_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let form = of_kind(KvType::Q8_0);
    save("deepseek2", form, &at("rotated.json"));
    without_rotation(folder.path(), "deepseek2", KvType::Q8_0);
    let (receipt, said) = load("deepseek2", form, &at("plain.json"), &LoadOptions::default());
    let canary = receipt.canary.expect("a canary");
    assert_eq!(canary.max_abs, 0.0, "{receipt:?}");
    assert_eq!(said, live("deepseek2", form));
}
