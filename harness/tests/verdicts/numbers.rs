//! Numbers that cannot be are refused before anything is started, with those that can.

use intact_harness::exit::Exit;

use crate::scene::Scene;

/// Tests of numbers.
pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a number that cannot be is refused with the least that can", a_number_that_cannot_be_is_refused),
    ("a configuration's numbers have bounds", a_configurations_numbers_have_bounds),
];

fn a_number_that_cannot_be_is_refused() {
    let scene = Scene::new("nothing", None);
    for (words, told) in [
        ("run --jobs 0", "1..=1024"),
        ("run --jobs 18446744073709551616", "18446744073709551616"),
        ("produce --jobs -1", "-1"),
        ("chat --model one.gguf --context 0", "2..="),
        ("chat --model one.gguf --context 1", "2..="),
        ("check a.json --model one.gguf --context 4294967295", "2..="),
        ("chat --model one.gguf --threads 0", "1..=512"),
        ("tags build --jobs 0", "1..=1024"),
        ("perf compare a b --at-most 18446744073709551615", "0..=31536000"),
        ("perf compare a b --tokens 1", "16..="),
        ("run --partition 0/2", "m from 1 to n"),
    ] {
        let said = scene.intact(words);
        assert_eq!(said.code, 2, "{words}: {}", said.err);
        assert!(said.err.contains(told), "{words}: {}", said.err);
    }
    assert!(!scene.path("out").exists(), "nothing was begun");
}

fn a_configurations_numbers_have_bounds() {
    for (from, to, told) in [
        ("timeout_seconds = 30", "timeout_seconds = 0", "`run.timeout_seconds` is 0: it must be at least 1"),
        ("timeout_seconds = 30", "timeout_seconds = 9223372036854775807", "at most 31536000"),
        ("scored_tokens = 8", "scored_tokens = 0", "`run.scored_tokens` is 0: it must be at least 1"),
        ("worker_memory_mib = 512", "worker_memory_mib = 1", "it must be at least 64"),
        ("\"512\", \"1024\"", "\"1\", \"1024\"", "`1` is too small: it must be at least 2"),
        ("\"512\", \"1024\"", "\"99999999999\", \"1024\"", "is not a number that fits"),
    ] {
        let scene = Scene::new("nothing", None);
        scene.edit("intact.toml", from, to);
        let said = scene.intact("run");
        assert_eq!(said.code, i32::from(Exit::SetUp.code()), "{to}: {}", said.err);
        // The message can be broken over lines.
        let words =
            |text: &str| text.split(|c: char| c.is_whitespace() || c == '│').collect::<Vec<_>>().join("");
        assert!(words(&said.err).contains(&words(told)), "{to}: {}", said.err);
        assert!(!scene.path("out").exists(), "{to}");
    }
}
