//! Cells and bytes of two libraries, and what they come to: made-up runs, with each kind of change.

use super::{Outcome, Upstream, configuration};
use crate::config::Config;
use crate::exit::Exit;
use crate::fingerprint::{Change, Comparison, Container, Kind, Versions};
use crate::report::tests::{base, cell};
use crate::results::Results;
use crate::verdict::Verdict;

/// How the bytes compare where nothing differs, with these versions of sequence files.
fn compared(sequence: [u32; 2]) -> Comparison {
    let versions = |sequence| Versions { sequence: Some(sequence), session: Some(9) };
    Comparison {
        versions: sequence.map(versions),
        changes: Vec::new(),
        compared: 10,
        same: 10,
        rounded: 0,
        most: 0.0,
        computed: Default::default(),
        missing: Vec::new(),
    }
}

/// A run in which each of two libraries reads its own, and each other's so.
fn run(crossing: Verdict, container: &str) -> Results {
    let cells = [("engine", "sequence-file"), ("blind", "sequence-file"), ("blind", "raw-sequence")];
    let ways = [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")];
    let cells = cells.into_iter().flat_map(|(subject, kept)| {
        ways.map(|(writer, reader)| {
            let crosses = writer != reader && subject == "blind" && kept == container;
            let verdict = if crosses { crossing } else { Verdict::Exact };
            cell(subject, &[("container", kept), ("writer", writer), ("reader", reader)], verdict)
        })
    });
    base(cells.collect())
}

fn found(results: &Results, compared: Comparison) -> Upstream {
    Upstream::of(results, "a", "b", compared)
}

#[test]
fn where_everything_crosses_nothing_changed() {
    let mut results = run(Verdict::Exact, "sequence-file");
    let found = found(&results, compared([2, 2]));
    assert_eq!(found.outcome(), Outcome::Unchanged);
    assert_eq!(found.headline(), "Nothing changed for saved sessions from a to b.");
    found.put_into(&mut results);
    assert_eq!((results.gate.exit, results.gate.findings.len()), (Exit::Fine, 0));
    assert!(found.text().contains("all 1 come back"), "{}", found.text());
    assert!(found.markdown().contains("## For blobs\n\nNothing changed.\n"), "{}", found.markdown());
}

#[test]
fn what_breaks_without_a_version_fails_in_every_rendering_and_with_one_in_none() {
    for verdict in [Verdict::Corrupt, Verdict::Refused, Verdict::RefusedUnclear, Verdict::Crashed] {
        let mut results = run(verdict, "sequence-file");
        let silent = found(&results, compared([2, 2]));
        assert_eq!(silent.outcome(), Outcome::Unannounced);
        assert!(silent.headline().ends_with("no version was raised: sequence files (GGSQ)."));
        silent.put_into(&mut results);
        assert_eq!(results.gate.exit, Exit::GateFailed);
        assert_eq!(results.gate.findings.len(), 2, "forward and back");
        assert_eq!(results.cells.iter().filter(|cell| !cell.matched).count(), 2);

        let mut results = run(verdict, "sequence-file");
        let announced = found(&results, compared([2, 3]));
        assert_eq!(announced.outcome(), Outcome::Announced);
        assert!(announced.headline().contains("sequence files (GGSQ) version 3, which was 2"));
        announced.put_into(&mut results);
        assert_eq!((results.gate.exit, results.gate.passed), (Exit::Fine, true));
        let expected = results.cells.iter().filter(|cell| cell.expected.reason.is_some());
        assert_eq!(expected.count(), 2, "why is said");
    }
}

#[test]
fn bytes_that_changed_fail_where_every_cell_still_comes_back() {
    let mut results = run(Verdict::Exact, "raw-sequence");
    let change = Change {
        container: Container::RawSequence,
        of: Kind::Form,
        what: "a magic word before raw states: from now on".to_owned(),
        announced: false,
        shown_by: vec!["llama f16".to_owned()],
    };
    let found = found(&results, Comparison { changes: vec![change], ..compared([2, 2]) });
    assert_eq!(found.outcome(), Outcome::Unannounced);
    found.put_into(&mut results);
    assert_eq!(results.gate.exit, Exit::GateFailed);
    assert_eq!(results.gate.findings[0].cell, None);
    let markdown = found.markdown();
    assert!(
        markdown.contains("raw states (blobs): the form changed: a magic word before raw states"),
        "{markdown}"
    );
    assert!(markdown.contains("## What to do"), "{markdown}");
}

#[test]
fn a_library_that_does_not_read_its_own_says_nothing_of_the_change() {
    let mut results = run(Verdict::Corrupt, "sequence-file");
    for cell in &mut results.cells {
        if cell.dims["writer"] == "b" && cell.dims["reader"] == "b" {
            cell.verdict = Verdict::Corrupt;
        }
    }
    let found = found(&results, compared([2, 2]));
    assert_eq!(found.outcome(), Outcome::Unknown);
    assert!(found.headline().starts_with("Not known what changed"), "{}", found.headline());
    found.put_into(&mut results);
    assert_eq!(results.gate.exit, Exit::Incomplete);
    assert!(
        found
            .ways
            .iter()
            .flatten()
            .all(|way| way.unknown == 1 || way.container == Some(Container::SessionFile))
    );
}

#[test]
fn what_is_not_known_is_not_said_to_be_unchanged() {
    let mut results = run(Verdict::Exact, "sequence-file");
    for cell in &mut results.cells {
        if cell.dims["container"] == "raw-sequence" && cell.dims["writer"] == "b" {
            cell.verdict = Verdict::Unsupported;
        }
    }
    let markdown = found(&results, compared([2, 2])).markdown();
    assert!(markdown.contains("## For files\n\nNothing changed.\n"), "{markdown}");
    let blobs = "## For blobs\n\n- raw states (blobs): not known, from a to b\n- raw states (blobs): not known, from b to a\n";
    assert!(markdown.contains(blobs), "{markdown}");
    let results = run(Verdict::Exact, "sequence-file");
    let markdown = found(&results, Comparison { compared: 0, same: 0, ..compared([2, 2]) }).markdown();
    assert!(markdown.contains("## For blobs\n\nNot known.\n"), "{markdown}");
    assert!(!markdown.contains("Nothing changed."), "{markdown}");
}

#[test]
fn a_version_that_is_lowered_says_so_and_is_not_called_raised() {
    let results = run(Verdict::Refused, "sequence-file");
    let lowered = found(&results, compared([3, 2]));
    assert_eq!(lowered.outcome(), Outcome::Announced);
    assert!(
        lowered.headline().ends_with("and a version says so: sequence files (GGSQ) version 2, which was 3.")
    );
    assert!(lowered.markdown().contains("version 2, which was 3 | lowered |"), "{}", lowered.markdown());
    assert!(found(&results, compared([2, 3])).markdown().contains("version 3, which was 2 | yes |"));
}

#[test]
fn where_no_state_could_be_compared_nothing_is_known() {
    let mut results = run(Verdict::Exact, "sequence-file");
    let found = found(&results, Comparison { compared: 0, same: 0, ..compared([2, 2]) });
    assert_eq!(found.outcome(), Outcome::Unknown);
    found.put_into(&mut results);
    assert_eq!(results.gate.exit, Exit::Incomplete);
}

#[test]
fn sessions_of_the_engine_that_come_back_wrong_are_no_unchanged() {
    let mut results = run(Verdict::Exact, "sequence-file");
    for cell in &mut results.cells {
        if cell.dims["subject"] == "engine" && cell.dims["writer"] == "a" && cell.dims["reader"] == "b" {
            (cell.verdict, cell.matched) = (Verdict::Corrupt, false);
        }
    }
    let found = found(&results, compared([2, 2]));
    assert_eq!((found.outcome(), found.engine_lost), (Outcome::Lost, 1));
    assert!(found.headline().contains("1 session of them did not"), "{}", found.headline());
}

#[test]
fn the_configuration_has_the_plan_and_the_built_in_one_is_in_it() {
    let text = configuration("b8390", "b9842", &["qwen2vl"]).expect("written");
    let config: Config = toml::from_str(&text).expect("read");
    assert!(config.plans.contains_key(super::PLAN) && config.plans.contains_key("release"));
    assert!(config.models.iter().any(|model| model.name == "qwen2vl"));
    assert!(config.run.worker_memory_mib.is_some(), "an older library asks for what it misreads");
}
