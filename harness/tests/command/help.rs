//! Help, completions, schemas, models, and arguments that are wrong.

use super::cli::intact;

const COMMANDS: [&str; 13] = [
    "run",
    "report",
    "perf",
    "inspect",
    "check",
    "migrate",
    "verify",
    "chat",
    "store",
    "models",
    "filters",
    "schema",
    "completions",
];

#[test]
fn every_command_has_help_that_starts_with_what_it_does() {
    for command in COMMANDS {
        let said = intact([command, "--help"]);
        assert_eq!(said.code, 0, "{}", said.err);
        let first = said.out.lines().next().expect("a line");
        assert!(first.len() > 20 && !first.starts_with("Usage"), "{command}: {first}");
        assert!(said.out.contains("Usage: intact"), "{}", said.out);
    }
}

#[test]
fn no_help_text_has_a_word_that_the_glossary_gives_another_name() {
    for command in COMMANDS {
        let said = intact([command, "--help"]);
        for (word, better) in [
            (" floor", "yardstick, or noise floor"),
            (" played", "run, or retried"),
            (" plays", "runs"),
            ("the control ", "the reference, or the unprotected path"),
            ("blind path", "unprotected path"),
        ] {
            assert!(!said.out.contains(word), "{command}: {word:?} is {better}: {}", said.out);
        }
    }
}

#[test]
fn the_help_names_every_command_and_every_exit_code() {
    let said = intact(["--help"]);
    for word in COMMANDS.iter().chain(&["Exit codes", "\n  100  ", "try:", "Keep sessions"]) {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }
}

#[test]
fn the_filter_language_is_explained_and_can_be_tried() {
    for said in [intact(["help", "filters"]), intact(["filters"])] {
        assert_eq!(said.code, 0, "{}", said.err);
        for word in ["verdict(", ">=v", "#glob", "changed()", "single quotes"] {
            assert!(said.out.contains(word), "{word} in {}", said.out);
        }
    }
    assert_eq!(intact(["filters", "not kv(f16) and (model(a))"]).out, "!kv(=f16) & model(=a)\n");
    let wrong = intact(["filters", "kv(f16"]);
    assert_eq!(wrong.code, 94);
    assert!(wrong.err.contains("expected `)`") && wrong.err.contains('^'), "{}", wrong.err);
}

#[test]
fn a_wrong_argument_is_a_usage_error_that_names_it() {
    for arguments in
        [&["inspect", "--jsn", "x"][..], &["levitate"], &["check", "file.json"], &["models", "generate"]]
    {
        let said = intact(arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.err);
        assert!(said.err.starts_with("error: "), "{}", said.err);
        assert!(said.out.is_empty());
    }
}

#[test]
fn completions_complete_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = intact(["completions", shell]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains("inspect"), "{shell}");
    }
}

#[test]
fn every_schema_that_is_listed_is_printed() {
    let names = intact(["schema", "--list"]).out;
    for name in ["results", "request", "answer", "session-2.0", "manifest"] {
        assert!(names.lines().any(|line| line == name), "{name} in {names}");
    }
    for name in names.lines() {
        let schema: serde_json::Value = serde_json::from_str(&intact(["schema", name]).out).expect("JSON");
        assert!(schema.get("$schema").is_some(), "{name}");
    }
}

#[test]
fn a_name_that_is_nearly_right_is_met_with_the_one_that_is() {
    let said = intact(["schema", "resluts"]);
    assert_eq!(said.code, 96);
    assert!(
        said.err.contains("there is no schema resluts") && said.err.contains("did you mean results?"),
        "{}",
        said.err
    );

    let said = intact(["models", "generate", "lama"]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("did you mean llama"), "{}", said.err);

    let said = intact(["rnu"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("unrecognized subcommand 'rnu'") && said.err.contains("'run'"), "{}", said.err);

    let said = intact(["plan", "nightlly"]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("there is no plan `nightlly`; did you mean `nightly`?"), "{}", said.err);
}

#[test]
fn the_models_are_listed_and_made() {
    let list = intact(["models", "list"]);
    assert_eq!(list.code, 0);
    assert!(list.out.lines().any(|line| line.starts_with("llama ")), "{}", list.out);
    let window = list.out.lines().find(|line| line.starts_with("gemma3 ")).expect("a model with a window");
    assert!(window.contains("5 window, 1 full") && window.contains("1536"), "{window}");
    let uncovered =
        list.out.lines().find(|line| line.starts_with("Not covered: ")).expect("what no model is");
    assert!(!uncovered.contains(" 0 architectures"), "{uncovered}");
    assert!(list.out.contains("llama.cpp hard-codes that the first 20 layers"), "{}", list.out);

    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("UTF-8");
    let made = intact(["models", "generate", "llama", "--out", dir]);
    assert_eq!(made.code, 0, "{}", made.err);
    let file = folder.path().join("llama.gguf");
    assert!(made.out.contains("llama.gguf"), "{}", made.out);
    let shown = intact([std::ffi::OsStr::new("inspect"), file.as_os_str()]);
    assert!(shown.out.contains("GGUF model"), "{}", shown.out);
}

#[test]
fn a_model_is_derived_by_a_seeded_change_of_its_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, same, other] =
        ["one", "same", "other"].map(|name| folder.path().join(name).display().to_string());
    let derive = |out: &str, seed: &str| {
        intact(["models", "derive", "id:llama", "--change", "noise=0.03", "--seed", seed, "--out", out])
    };
    for (out, seed) in [(&one, "7"), (&same, "7"), (&other, "8")] {
        let said = derive(out, seed);
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.out.starts_with(out.as_str()), "{}", said.out);
    }
    let [one, same, other] = [one, same, other].map(|path| std::fs::read(path).expect("a model"));
    assert_eq!(one, same);
    assert_ne!(one, other);

    let said = intact(["models", "derive", "id:llama", "--change", "shake=1", "--out", "x.gguf"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("noise=SHARE"), "{}", said.err);
    let said = intact(["models", "derive", "id:llama-q8_0", "--change", "lora=8,0.05", "--out", "x.gguf"]);
    assert_eq!(said.code, 96);
    assert!(said.err.contains("--weights f16"), "{}", said.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_is_no_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_intact"))
        .args(["models", "list"])
        .stdout(full)
        .output()
        .expect("the command runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(96), "{told}");
    assert!(told.starts_with("the output could not be written") && !told.contains("panicked"), "{told}");
}
