//! A worker that zeroes a little of what it restored, where both sides are alike: whatever it was, no cell passes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use intact_harness::results::Results;
use intact_harness::verdict::Verdict;

use crate::cli::{intact, worker};

/// Values of either side, the same on both: nothing differs in any cell.
const PLAN: &str = r#"
[plans.same]
about = "Both sides alike, whatever they are."

[[plans.same.blocks]]
vary = "one"
each = ["model"]
axes = ["model", "format", "session", "flash", "kv"]
only = "model(llama|gemma3) & format(2.1|2.0) & session(turns|pending)"
"#;

/// The built-in configuration with this damage done after every load of the engine's, and the plan `same`.
fn configuration(folder: &Path, damage: &str) {
    let (plain, damaged) = (
        r#"command = ["intact-worker", "--subject", "engine"]"#,
        format!(r#"command = [{:?}, "--subject", "engine", "--damage", "{damage}"]"#, worker()),
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let config = fs::read_to_string(root.join("intact.toml")).expect("read");
    assert!(config.contains(plain), "the engine's command");
    let config = config.replace(plain, &damaged);
    fs::write(folder.join("intact.toml"), config + PLAN).expect("written");
    fs::write(folder.join("expectations.toml"), "version = 1\n").expect("written");
}

/// Verdicts of the engine's cells, with how often each came.
fn verdicts(damage: &str) -> (i32, BTreeMap<String, usize>) {
    let folder = tempfile::tempdir().expect("a folder");
    configuration(folder.path(), damage);
    let (config, out) = (folder.path().join("intact.toml"), folder.path().join("out"));
    let arguments = ["run", "--plan", "same", "-E", "subject(engine)", "--config"].map(AsRef::as_ref);
    let said = intact(arguments.into_iter().chain([config.as_os_str(), "--out".as_ref(), out.as_os_str()]));
    let results = fs::read_to_string(out.join("results.json")).unwrap_or_else(|_| panic!("{}", said.err));
    let results: Results = serde_json::from_str(&results).expect("results");
    let mut count = BTreeMap::new();
    for cell in results.cells.iter().filter(|cell| cell.verdict != Verdict::Filtered) {
        *count.entry(cell.verdict.to_string()).or_default() += 1;
    }
    (said.code, count)
}

#[test]
fn whatever_little_is_zeroed_behind_every_check_no_cell_passes() {
    for damage in ["tails", "value", "row", "cell"] {
        let (code, count) = verdicts(damage);
        assert_eq!(code, 100, "{damage}: {count:?}");
        let red = ["degraded", "corrupt"].iter().filter_map(|verdict| count.get(*verdict)).sum::<usize>();
        assert!(red >= 10, "{damage}: {count:?}");
        assert_eq!(red, count.values().sum::<usize>(), "{damage}: {count:?}");
    }
}
