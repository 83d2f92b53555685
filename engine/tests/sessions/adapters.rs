//! LoRA adapters and control vectors: alone, together, and as an axis of the passport.

use std::path::PathBuf;

use intact_engine::Engine;
use intact_format::route::Route;

use crate::support::{converse, load, options, save, score};

const MODEL: &str = "llama";

/// Fixture adapters and their scales: LoRA, then control vectors.
#[derive(Clone, Copy)]
struct Applied {
    lora: &'static [(&'static str, f32)],
    control: &'static [(&'static str, f32)],
}

impl Applied {
    fn engine(self) -> Engine {
        let files = |adapters: &[(&str, f32)]| -> Vec<(PathBuf, f32)> {
            let file = |id: &str| intact_fixtures::cached(id).expect("a fixture adapter");
            adapters.iter().map(|(id, scale)| (file(id), *scale)).collect()
        };
        let (lora, control_vectors) = (files(self.lora), files(self.control));
        Engine::create(options(MODEL).lora(lora).control_vectors(control_vectors)).expect("an engine")
    }

    fn uninterrupted(self) -> Vec<Vec<u32>> {
        let mut engine = self.engine();
        converse(&mut engine, "control");
        score(&mut engine, "control")
    }
}

const SETS: [Applied; 6] = [
    Applied { lora: &[], control: &[] },
    Applied { lora: &[("llama-lora", 1.0)], control: &[] },
    Applied { lora: &[("llama-lora", 1.0), ("llama-lora-other", 1.0)], control: &[] },
    Applied { lora: &[], control: &[("llama-control", 1.0)] },
    Applied { lora: &[], control: &[("llama-control", 0.5)] },
    Applied { lora: &[("llama-lora", 1.0)], control: &[("llama-control", 1.0)] },
];

#[test]
fn every_set_of_adapters_says_something_else_and_comes_back_bit_for_bit() {
    let mut said: Vec<Vec<Vec<u32>>> = Vec::new();
    for set in SETS {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.json");
        let mut writer = set.engine();
        converse(&mut writer, "s");
        save(&mut writer, "s", &path);
        let mut reader = set.engine();
        assert_eq!(load(&mut reader, &path).receipt.route, Route::Direct);
        let uninterrupted = set.uninterrupted();
        assert_eq!(score(&mut reader, "s"), uninterrupted);
        assert!(!said.contains(&uninterrupted), "two sets of adapters say the same");
        said.push(uninterrupted);
    }
}

#[test]
fn two_halves_of_a_control_vector_are_the_whole() {
    const HALVES: Applied = Applied { lora: &[], control: &[("llama-control", 0.5), ("llama-control", 0.5)] };
    assert_eq!(HALVES.uninterrupted(), SETS[3].uninterrupted());
}

#[test]
fn a_session_is_evaluated_again_under_other_adapters_and_the_axis_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.json");
    let mut writer = SETS[3].engine();
    converse(&mut writer, "s");
    save(&mut writer, "s", &path);
    for set in [SETS[0], SETS[1], SETS[4], SETS[5]] {
        let receipt = load(&mut set.engine(), &path).receipt;
        assert_eq!(receipt.route, Route::Reprefilled);
        assert!(receipt.because.contains("adapters"), "{}", receipt.because);
    }
}

#[test]
fn what_is_no_adapter_for_the_model_is_refused_with_the_reason() {
    let file = |id: &str| intact_fixtures::cached(id).expect("a fixture");
    // (the model, a control vector for it, why not)
    let table = [
        ("granite-hybrid", file("llama-lora"), "no tensor `direction.1`"),
        ("lfm2", PathBuf::from("nowhere.gguf"), "No such file"),
        ("kv-0.5b", file("llama-control"), "32 numbers of f32 are needed"),
    ];
    for (model, control, why) in table {
        let control_vectors = vec![(control, 1.0)];
        let error = Engine::create(options(model).control_vectors(control_vectors)).expect_err(model);
        assert!(error.to_string().contains(why), "{model}: {error}");
    }
    let lora = vec![(PathBuf::from("nowhere.gguf"), 1.0)];
    let error = Engine::create(options(MODEL).lora(lora)).expect_err("no file");
    assert!(error.to_string().contains("there is no such file"), "{error}");
}
