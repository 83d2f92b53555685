//! Workers of our own that do something wrong: whatever it is, no cell passes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use intact_fixtures::cached;
use intact_harness::results::{Cell, Results};
use intact_harness::verdict::Verdict;

use crate::cli::{intact, worker};

/// Values of either side, the same on both: nothing differs in any cell.
const ALIKE: &str = r#"
[[plans.sabotaged.blocks]]
vary = "one"
each = ["model"]
axes = ["model", "format", "session", "flash", "kv"]
only = "model(llama|gemma3) & format(2.1|2.0) & session(turns|pending)"
"#;

/// Routes that reuse what was saved.
const IMAGE: &str = r#"
[policies.image]
routes = ["direct", "transcoded"]
"#;

/// Other weights, under the settings and on the routes that reuse what was saved.
const OTHER_WEIGHTS: &str = r#"
[[plans.sabotaged.blocks]]
vary = "all"
axes = ["policy", "weights", "reader_flash", "reader_kv"]
only = "policy(image) & weights(other) & (reader_flash(same) | reader_kv(same))"
"#;

/// The built-in configuration with a plan of these blocks and these arguments of the engine's worker.
fn configuration(arguments: &[&str], blocks: &str) -> String {
    let plain = r#"command = ["intact-worker", "--subject", "engine"]"#;
    let worker = worker().to_str().expect("a path in UTF-8");
    let command = [&[worker, "--subject", "engine"], arguments].concat();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let config = fs::read_to_string(root.join("intact.toml")).expect("read");
    assert!(config.contains(plain), "the engine's command");
    let (policies, more) =
        (r#"["default", "strict", "replay"]"#, r#"["default", "image", "strict", "replay"]"#);
    config.replace(plain, &format!("command = {command:?}")).replace(policies, more)
        + "\n[plans.sabotaged]\nabout = \"What no cell may pass.\"\n"
        + blocks
        + IMAGE
}

/// Runs the plan of a configuration: the exit code, and the engine's cells.
fn run(config: &str) -> (i32, Vec<Cell>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, out) = (folder.path().join("intact.toml"), folder.path().join("out"));
    fs::write(&file, config).expect("written");
    fs::write(folder.path().join("expectations.toml"), "version = 1\n").expect("written");
    let arguments = ["run", "--plan", "sabotaged", "-E", "subject(engine)", "--config"].map(AsRef::as_ref);
    let said = intact(arguments.into_iter().chain([file.as_os_str(), "--out".as_ref(), out.as_os_str()]));
    let results = fs::read_to_string(out.join("results.json")).unwrap_or_else(|_| panic!("{}", said.err));
    let results: Results = serde_json::from_str(&results).expect("results");
    (said.code, results.cells.into_iter().filter(|cell| cell.verdict != Verdict::Filtered).collect())
}

#[test]
fn whatever_little_is_zeroed_behind_every_check_no_cell_passes() {
    for damage in ["tails", "value", "row", "cell"] {
        let (code, cells) = run(&configuration(&["--damage", damage], ALIKE));
        let mut count = BTreeMap::<String, usize>::new();
        cells.iter().for_each(|cell| *count.entry(cell.verdict.to_string()).or_default() += 1);
        assert_eq!(code, 100, "{damage}: {count:?}");
        let red = ["degraded", "corrupt"].iter().filter_map(|verdict| count.get(*verdict)).sum::<usize>();
        assert!(red >= 10 && red == cells.len(), "{damage}: {count:?}");
    }
}

#[test]
fn siblings_of_a_model_of_the_users_that_pass_for_it_never_get_its_kv() {
    let path = |id: &str| cached(id).expect("a fixture").display().to_string();
    let (model, other) = (path("llama"), path("llama-other"));
    let weights = sha256(&model);
    let config = configuration(&["--assume-weights", &weights], OTHER_WEIGHTS);
    let (start, end) = (config.find("[[models]]"), config.find("# Replies are forced"));
    let (start, end) = (start.expect("models"), end.expect("a conversation"));
    let own =
        format!("[[models]]\nname = \"llama\"\npath = {model:?}\nvariants = {{ other = {other:?} }}\n\n");
    let config = config[..start].to_owned() + &own + &config[end..];
    let (_, cells) = run(&config);
    assert!(cells.len() >= 5, "{} cells", cells.len());
    for cell in &cells {
        assert_eq!(cell.verdict, Verdict::Refused, "{}: {:?}", cell.id, cell.message);
        assert_eq!(cell.code.as_deref(), Some("canary-failed"), "{}: {:?}", cell.id, cell.message);
    }
}

fn sha256(file: &str) -> String {
    use sha2::{Digest, Sha256};
    let bytes = fs::read(file).expect("read");
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
