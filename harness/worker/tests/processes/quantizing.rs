//! Other quantizations of a model, by the worker's llama.cpp.

use std::path::Path;
use std::process::{Command, Output};

use intact_format::gguf::Gguf;
use intact_protocol::{HelloRequest, PROTOCOL, Request, Settings};

use crate::client::{Worker, fixture};

fn quantize(from: &Path, to: &Path, weights: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_intact-worker"));
    command.arg("quantize").arg(from).arg(to).arg(weights).output().expect("it runs")
}

#[test]
fn weights_are_written_in_another_type_and_the_model_talks_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut from = fixture("llama-f32");
    for (weights, name) in [("q8_0", "Q8_0"), ("F16", "F16"), ("q4_0", "Q4_0")] {
        let to = folder.path().join(format!("{weights}.gguf"));
        let output = quantize(&from, &to, weights);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty(), "the output is the protocol's");
        assert_eq!(Gguf::open(&to).expect("GGUF").quantization(), name);
        // What is quantized already is quantized once more.
        from = to;
    }
    let mut worker = Worker::start(&[]);
    worker.done(Request::Hello(HelloRequest { protocol: PROTOCOL }));
    worker.open(&from, Settings { n_ctx: Some(1024), ..Settings::default() });
    worker.converse("quantized");
}

#[test]
fn what_cannot_be_quantized_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("out.gguf");
    let broken = folder.path().join("broken.gguf");
    std::fs::write(&broken, b"GGUF and nothing else").expect("written");
    for (from, weights, reason) in [
        (fixture("llama"), "q3_x", "use f32, f16"),
        (folder.path().join("nowhere.gguf"), "q8_0", "there is no model file"),
        (broken, "q8_0", "cannot quantize the model"),
    ] {
        let output = quantize(&from, &to, weights);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{reason}: {said}");
    }
}
