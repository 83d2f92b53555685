//! Numbers that llama.cpp would abort at: each works or is refused, and the process lives. Each is tried in a process of its
//! own, so that one that aborts is named.

use std::process::Command;

use intact_engine::{Engine, EngineError, Generation};
use intact_format::parameters::ContextParameters;

use crate::support::{context, options, with_context};

const NUMBERS: &str = "INTACT_TEST_NUMBERS";

/// Tries context parameters: `ContextSize, NBatch, NUbatch, NSeqMax, KvUnified`, `-` for none.
fn try_out(model: &str, numbers: &str) -> Result<(), EngineError> {
    let mut fields = numbers.split(' ').map(|field| field.parse::<u32>().ok());
    let mut next = || fields.next().flatten();
    let (context_size, n_batch, n_ubatch, n_seq_max, unified) = (next(), next(), next(), next(), next());
    let context = ContextParameters {
        context_size,
        n_batch,
        n_ubatch,
        n_seq_max,
        kv_unified: unified.map(|unified| unified == 1),
        ..context(0)
    };
    let mut engine = Engine::create(options(model).context(context))?;
    engine.survey()?;
    let forced = Generation::default().forced("Ho.");
    engine.send("Hi.", &forced, &mut |_| {})?;
    Ok(())
}

#[test]
#[ignore = "it is run by the other test, in a process that may abort"]
fn child() {
    let asked = std::env::var(NUMBERS).expect("numbers");
    let (model, numbers) = asked.split_once(' ').expect("a model and numbers");
    match try_out(model, numbers) {
        Ok(()) => println!("works"),
        Err(error) => println!("refused: {} {error}", error.code().unwrap_or("no code")),
    }
}

/// What became of numbers, in the words of the child; none where it aborted.
fn outcome(numbers: &str) -> Option<String> {
    let child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--ignored", "--exact", "--nocapture", "numbers::child"])
        .env(NUMBERS, numbers)
        .output()
        .expect("run");
    let told = String::from_utf8_lossy(&child.stdout).into_owned();
    let told = told.lines().find(|line| line.contains("works") || line.contains("refused: "))?.to_owned();
    child.status.success().then_some(told)
}

#[test]
fn no_number_ends_the_process() {
    let lengths = (1..=9).flat_map(|length| [format!("{length} - - - -"), format!("{length} - - 4 0")]);
    let batches = (1..=3).flat_map(|batch| {
        [format!("256 {batch} - - -"), format!("256 - {batch} - -"), format!("256 {batch} 512 3 1")]
    });
    let others =
        ["4294967295 - - - -", "4294967295 - - 256 0", "256 4294967295 4294967295 - -", "0 - - 256 0"];
    let numbers: Vec<String> = lengths.chain(batches).chain(others.map(str::to_owned)).collect();
    let mut aborted = Vec::new();
    for model in ["llama", "gemma3", "mamba2"] {
        for numbers in &numbers {
            let numbers = format!("{model} {numbers}");
            match outcome(&numbers) {
                None => aborted.push(numbers),
                Some(told) => assert!(!told.contains("no code"), "{numbers}: {told}"),
            }
        }
    }
    assert!(aborted.is_empty(), "aborted: {aborted:#?}");
}

#[test]
fn a_context_that_is_too_short_is_refused_with_the_least_length() {
    let refused = with_context("llama", context(1)).survey().expect_err("too short");
    assert_eq!(refused.code(), Some("parameters-invalid"));
    assert!(refused.to_string().contains("ContextSize is 1, and at least"), "{refused}");
}

#[test]
fn a_model_that_states_a_context_beyond_what_llama_cpp_counts_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let mut bytes = std::fs::read(intact_fixtures::cached("llama").expect("a fixture model")).expect("read");
    let key = b"llama.context_length";
    let at = bytes.windows(key.len()).position(|part| part == key).expect("it states its context");
    // Behind the key: the type, four bytes, and the number.
    let number = at + key.len() + 4;
    bytes[number..number + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    let error = Engine::open(&path).expect_err("refused").to_string();
    assert!(error.contains("a context of 4294967295 tokens"), "{error}");
}
