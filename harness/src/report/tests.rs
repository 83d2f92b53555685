//! Runs for the tests of the parts of a report.

use super::{FILES, MARKS, Report, write};
use crate::exit::Exit;
use crate::results::{
    AxisInfo, Cell, Counts, Environment, Gate, Part, PlanInfo, RESULTS_VERSION, Results, RunInfo,
    SubjectInfo, sample_cell,
};
use crate::verdict::Verdict;

/// A cell with these dimensions off their base values.
pub(crate) fn cell(subject: &str, off_base: &[(&str, &str)], verdict: Verdict) -> Cell {
    let base =
        [("subject", subject), ("model", "llama"), ("family", "plain"), ("kv", "f16"), ("flash", "on")];
    let dims = base.iter().chain(off_base).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let off: Vec<_> = off_base.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let id = format!("{subject}/llama/{}", if off.is_empty() { "base".to_owned() } else { off.join(",") });
    Cell { dims: dims.collect(), verdict, ..sample_cell(&id) }
}

/// A run of these cells over the axes `kv` and `flash`, with the subjects `engine` and `blind`.
pub(crate) fn base(cells: Vec<Cell>) -> Results {
    let axis = |name: &str, values: &[&str]| AxisInfo {
        name: name.into(),
        about: String::new(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let subject = |name: &str, part| SubjectInfo {
        name: name.into(),
        command: Vec::new(),
        part,
        hello: None,
        problem: None,
        systems: Vec::new(),
    };
    let planned = u32::try_from(cells.len()).expect("a few");
    Results {
        version: RESULTS_VERSION,
        run: RunInfo {
            harness: "0.1.0".into(),
            started: "2026-11-22T06:00:00Z".into(),
            seconds: 1.0,
            command: Vec::new(),
            filter: None,
            partition: None,
            seed: 1,
            jobs: 1,
            notes: Vec::new(),
        },
        environment: Environment { os: "linux".into(), arch: "x86_64".into(), cpu: None, cores: 1 },
        subjects: vec![subject("engine", Part::Judged), subject("blind", Part::Control)],
        releases: Vec::new(),
        predictions: Vec::new(),
        models: Vec::new(),
        plan: PlanInfo {
            name: "pr".into(),
            digest: None,
            axes: vec![axis("kv", &["f16", "q8_0"]), axis("flash", &["on", "off"])],
            planned,
            selected: planned,
            coverage: Vec::new(),
        },
        counts: Counts::of(&cells),
        gate: Gate { passed: true, exit: Exit::Fine, code: 0, findings: Vec::new() },
        suspects: Vec::new(),
        controls: Vec::new(),
        properties: Vec::new(),
        claims: Vec::new(),
        not_covered: Vec::new(),
        cells,
    }
}

#[test]
fn a_point_in_time_is_told_to_the_minute() {
    assert_eq!(super::when("2026-11-22T06:14:33.617648607Z"), "2026-11-22 06:14 UTC");
    assert_eq!(super::when("yesterday"), "yesterday");
}

#[test]
fn reports_replace_reports_and_nothing_else_of_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let results = base(vec![cell("engine", &[], Verdict::Exact)]);
    for _ in 0..2 {
        write(&Report::of(&results), folder.path()).unwrap_or_else(|error| panic!("{error}"));
    }
    for (name, mark) in FILES.into_iter().zip(MARKS) {
        let path = folder.path().join(name);
        let ours = std::fs::read_to_string(&path).expect("written");
        assert!(ours.contains(mark), "{name}");
        std::fs::write(&path, "somebody's").expect("written");
        let told = write(&Report::of(&results), folder.path()).expect_err("somebody's").to_string();
        assert!(told.contains(name) && told.contains("nothing is overwritten"), "{told}");
        assert_eq!(std::fs::read(&path).expect("read"), b"somebody's");
        std::fs::write(&path, ours).expect("written");
    }
}
