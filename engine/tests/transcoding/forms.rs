//! Other types, V the other way round, other streams: on this release alone.

use intact_engine::LoadOptions;
use intact_format::kv_type::KvType;
use intact_format::passport::Axis;
use intact_format::route::{LoadPolicy, Route};
use intact_format::transcode::Loss;

use crate::desk::{Form, PLAIN, live, load, of_kind, save};
use crate::distance::divergence;

/// Divergence that is no difference: the last bits of logits.
const NOISE: f64 = 1e-6;

/// Saves in one form and loads in another. The session must be nearer to a live one here than twice what separates live
/// sessions of the two forms, which is what rounding to the coarser one costs.
fn moves(model: &str, saved: Form, here: Form, route: Route) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("moved.json");
    save(model, saved, &file);
    let (receipt, said) = load(model, here, &file, &LoadOptions::default());
    let what = format!("{model}: {saved:?} to {here:?}");
    assert_eq!(receipt.route, route, "{what}: {receipt:?}");
    assert_eq!(receipt.tokens_evaluated, 1, "{what}");
    let truth = live(model, here);
    let (apart, floor) = (divergence(&truth, &said), divergence(&truth, &live(model, saved)));
    println!(
        "{what}: {apart:.2e}, live sessions {floor:.2e}, canary {:?}, {:?}",
        receipt.canary, receipt.transcoding
    );
    assert!(apart <= 2.0 * floor + NOISE, "{what}: {apart} from a live session, {floor} between live ones");
}

#[test]
fn a_session_moves_between_types() {
    use KvType::{Bf16, F16, F32, Q4_0, Q8_0};
    for model in ["llama", "qwen2", "qwen3"] {
        for other in [F32, Bf16, Q8_0, Q4_0] {
            moves(model, of_kind(F16), of_kind(other), Route::Transcoded);
            moves(model, of_kind(other), of_kind(F16), Route::Transcoded);
        }
        moves(model, of_kind(Q8_0), of_kind(Q4_0), Route::Transcoded);
    }
}

#[test]
fn windows_and_hybrids_move_too() {
    for model in ["gemma3", "lfm2", "granite-hybrid"] {
        moves(model, of_kind(KvType::F16), of_kind(KvType::Q8_0), Route::Transcoded);
        moves(model, of_kind(KvType::Q8_0), of_kind(KvType::F16), Route::Transcoded);
    }
}

#[test]
fn turning_v_and_quantizing_go_together() {
    let turned = Form { flash: false, ..PLAIN };
    for model in ["llama", "qwen3"] {
        moves(model, turned, PLAIN, Route::Transcoded);
        moves(model, PLAIN, turned, Route::Transcoded);
        moves(model, turned, of_kind(KvType::Q8_0), Route::Transcoded);
        moves(model, of_kind(KvType::Q8_0), turned, Route::Transcoded);
    }
}

#[test]
fn a_session_moves_between_one_cache_for_all_and_one_for_each() {
    let shared = Form { unified: true, sequences: 3, ..PLAIN };
    let separate = Form { unified: false, sequences: 3, ..PLAIN };
    for (saved, here) in [(PLAIN, shared), (shared, separate), (separate, PLAIN)] {
        moves("llama", saved, here, Route::Direct);
    }
    moves("llama", shared, Form { kind: KvType::Q8_0, ..separate }, Route::Transcoded);
}

#[test]
fn a_type_without_conversion_is_evaluated_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("moved.json");
    save("llama", PLAIN, &file);
    let (receipt, _) = load("llama", of_kind(KvType::Q5_1), &file, &LoadOptions::default());
    assert_eq!(receipt.route, Route::Reprefilled);
    assert!(receipt.because.contains("kv-type-k: saved f16, here q5_1"), "{}", receipt.because);
}

#[test]
fn the_receipt_declares_what_was_lost_and_a_policy_can_forbid_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("moved.json");
    save("llama", PLAIN, &file);
    let q8_0 = of_kind(KvType::Q8_0);
    let (receipt, _) = load("llama", q8_0, &file, &LoadOptions::default());
    let transcoding = receipt.transcoding.expect("the KV was transcoded");
    assert_eq!(transcoding.steps.loss(), Loss::Declared);
    let axes: Vec<_> = transcoding.steps.0.iter().map(|step| step.axis).collect();
    assert_eq!(axes, [Axis::KvTypeK, Axis::KvTypeV, Axis::RotationK, Axis::RotationV]);
    for nmse in [transcoding.nmse_k, transcoding.nmse_v] {
        assert!((1e-7..1e-3).contains(&nmse), "{transcoding:?}");
    }
    let told = receipt.notes.iter().any(|note| note.contains("kv-type-k: f16 to q8_0, a declared loss"));
    assert!(told, "{:?}", receipt.notes);

    let lossless = LoadOptions::default().policy(LoadPolicy::TOKENS.lossless());
    let (receipt, _) = load("llama", q8_0, &file, &lossless);
    assert_eq!(receipt.route, Route::Reprefilled);
    assert!(receipt.because.contains("forbids transcoding with a loss"), "{}", receipt.because);
    let (receipt, _) = load("llama", of_kind(KvType::F32), &file, &lossless);
    assert_eq!(receipt.route, Route::Transcoded, "half floats are 32-bit floats too");
    let transcoding = receipt.transcoding.expect("the KV was transcoded");
    assert_eq!((transcoding.nmse_k, transcoding.nmse_v), (0.0, 0.0));
}
