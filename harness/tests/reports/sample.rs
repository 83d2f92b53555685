//! A small fixed run that has one of everything that a report must show.

use std::collections::BTreeMap;

use intact_harness::exit::Exit;
use intact_harness::judge::Floor;
use intact_harness::results::{
    AxisControl, AxisInfo, Cell, ClaimOutcome, ClaimResult, Counts, Coverage, Environment, Expected, Finding,
    FindingKind, Gate, ModelInfo, Part, PlanInfo, RESULTS_VERSION, Results, RunInfo, SubjectInfo,
};
use intact_harness::verdict::Verdict;
use intact_protocol::{AxisReport, Hello, Receipt, Timings};

/// Text that tries to be markup in every rendering.
pub(crate) const HOSTILE: &str = "</script><script>document.title='owned'</script> | `a` & \"b\" <img src=x onerror=alert(1)> ]]> \u{1b}[2J";

/// Four cells by the engine and three by the unprotected path, over two families.
pub(crate) fn good() -> Results {
    let cells = vec![
        cell("engine", "llama", &[], Verdict::Exact),
        cell("engine", "llama", &[("reader_kv", "q8_0")], Verdict::Recomputed),
        cell("engine", "llama", &[("fault", "image-flip")], Verdict::Refused),
        cell("engine", "mamba2", &[("reader_kv", "q8_0")], Verdict::Unsupported),
        cell("blind", "llama", &[], Verdict::Exact),
        cell("blind", "llama", &[("reader_kv", "q8_0")], Verdict::RefusedDestructive),
        cell("blind", "llama", &[("fault", "image-flip")], Verdict::Corrupt),
    ];
    of(cells, Vec::new())
}

/// The good run with one more cell, degraded by a smaller KV type, which was expected or not.
pub(crate) fn degraded(expected: bool) -> Results {
    let mut cells = good().cells;
    let mut cell = cell("engine", "llama", &[("reader_kv", "q4_0")], Verdict::Degraded);
    if !expected {
        (cell.matched, cell.expected) = (false, Expected::default());
    }
    cells.push(cell);
    of(cells, Vec::new())
}

/// The same with a cell that is worse than expected, and hostile text wherever text can come from outside.
pub(crate) fn bad() -> Results {
    let mut cells = good().cells;
    let worst = Cell {
        id: format!("engine/{HOSTILE}"),
        message: HOSTILE.into(),
        matched: false,
        expected: Expected::default(),
        log: vec![HOSTILE.into(), "GGML_ASSERT(n <= size) failed".into()],
        reproduce: format!("intact run -E '{HOSTILE}'"),
        ..cell("engine", "llama", &[("fault", HOSTILE)], Verdict::Corrupt)
    };
    let finding = Finding {
        kind: FindingKind::Worse,
        cell: Some(worst.id.clone()),
        message: format!("corrupt instead of exact: {HOSTILE}"),
    };
    let unmatched = Finding {
        kind: FindingKind::Unmatched,
        cell: None,
        message: "expectations.toml:3 matches nothing".into(),
    };
    cells.push(worst);
    of(cells, vec![finding, unmatched])
}

pub(crate) fn of(cells: Vec<Cell>, findings: Vec<Finding>) -> Results {
    let passed = findings.is_empty();
    let exit = if passed { Exit::Fine } else { Exit::GateFailed };
    let planned = u32::try_from(cells.len()).expect("a few");
    Results {
        version: RESULTS_VERSION,
        run: RunInfo {
            harness: "0.1.0".into(),
            started: "2026-11-22T06:00:00Z".into(),
            seconds: 12.5,
            command: ["intact", "run", "--out", "out"].map(str::to_owned).into(),
            filter: None,
            partition: None,
            seed: 1,
            jobs: 2,
            notes: Vec::new(),
        },
        environment: Environment {
            os: "linux".into(),
            arch: "x86_64".into(),
            cpu: Some("A CPU".into()),
            cores: 4,
        },
        subjects: vec![subject("engine", Part::Judged), subject("blind", Part::Control)],
        releases: Vec::new(),
        predictions: Vec::new(),
        models: ["llama", "mamba2"].map(model).into(),
        plan: PlanInfo {
            name: "pr".into(),
            digest: None,
            axes: vec![
                axis("reader_kv", "KV type of the reader", &["same", "q8_0"]),
                axis("fault", "What happens to the files", &["none", "image-flip"]),
            ],
            planned,
            selected: planned,
            coverage: vec![Coverage {
                strength: 2,
                axes: ["reader_kv", "fault"].map(str::to_owned).into(),
                combinations: 4,
                forbidden: 1,
                covered: 3,
                cells: 3,
            }],
        },
        counts: Counts::of(&cells),
        gate: Gate { passed, exit, code: exit.code(), findings },
        suspects: Vec::new(),
        claims: ["confirmed", "refuted", "untested"].map(claim).into(),
        properties: Vec::new(),
        not_covered: Vec::new(),
        controls: vec![control("reader_kv", true), control("fault", false)],
        cells,
    }
}

/// A claim with this outcome.
fn claim(outcome: &str) -> ClaimResult {
    let cell = "engine/llama".to_owned();
    let (outcome, held, broken) = match outcome {
        "confirmed" => (ClaimOutcome::Confirmed, vec![cell], Vec::new()),
        "refuted" => (ClaimOutcome::Refuted, Vec::new(), vec![cell]),
        _ => (ClaimOutcome::Untested, Vec::new(), Vec::new()),
    };
    ClaimResult {
        name: format!("a-{}-claim", outcome.name()),
        page: "persistence".into(),
        says: "Saved sessions can be restored.".into(),
        claim: "With nothing changed, a session continues bit by bit.".into(),
        because: (outcome == ClaimOutcome::Untested).then(|| "No cell can tell.".into()),
        outcome,
        held,
        broken,
    }
}

pub(crate) fn subject(name: &str, part: Part) -> SubjectInfo {
    let hello = Hello {
        protocol: 1,
        subject: name.into(),
        version: "0.1.0".into(),
        release: "0.6.0".into(),
        versions: BTreeMap::new(),
        operations: Vec::new(),
        formats: Vec::new(),
        features: Vec::new(),
    };
    SubjectInfo {
        name: name.into(),
        command: vec!["intact-worker".into()],
        part,
        hello: Some(hello),
        problem: None,
        systems: Vec::new(),
    }
}

fn model(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.into(),
        family: name.into(),
        path: format!("/models/{name}.gguf").into(),
        bytes: 1_000_000,
        notes: Vec::new(),
    }
}

pub(crate) fn axis(name: &str, about: &str, values: &[&str]) -> AxisInfo {
    AxisInfo {
        name: name.into(),
        about: about.into(),
        values: values.iter().map(ToString::to_string).collect(),
    }
}

fn control(axis: &str, tested: bool) -> AxisControl {
    let note = (!tested).then(|| "The unprotected path was right in every cell.".to_owned());
    let unprotected = [(if tested { Verdict::Corrupt } else { Verdict::Exact }, 1)].into();
    let judged = [(Verdict::Refused, 1)].into();
    AxisControl {
        axis: axis.into(),
        cells: Vec::new(),
        caught: Vec::new(),
        unprotected,
        judged,
        tested,
        note,
    }
}

pub(crate) fn cell(subject: &str, model: &str, off_base: &[(&str, &str)], verdict: Verdict) -> Cell {
    let base =
        [("reader_kv", "same"), ("fault", "none"), ("subject", subject), ("model", model), ("family", model)];
    let dims: BTreeMap<String, String> =
        base.iter().chain(off_base).map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let off: Vec<_> = off_base.iter().map(|(name, value)| format!("/{name}={value}")).collect();
    let id = format!("{subject}/{model}{}", off.concat());
    let restored = matches!(verdict, Verdict::Exact | Verdict::Recomputed | Verdict::Corrupt);
    let (code, message) = match verdict {
        Verdict::Exact => (None, "Bit-identical over 17 rows."),
        Verdict::Recomputed => (None, "The KV type differs, so 212 tokens were evaluated again."),
        Verdict::Refused => {
            (Some("image-damaged"), "Chunk 3 of the image is not what its hash says. Restore the file.")
        }
        Verdict::Unsupported => (Some("no-kv"), "mamba2 keeps no KV."),
        Verdict::RefusedDestructive => (Some("llama.cpp"), "The load failed and emptied the live session."),
        _ => (None, "Success was reported, and the logits are those of another conversation."),
    };
    let exact = verdict == Verdict::Exact;
    Cell {
        reproduce: format!("intact run -E 'id({id})'"),
        attempts: Vec::new(),
        flaky: false,
        id,
        dims,
        verdict,
        code: code.map(str::to_owned),
        message: message.into(),
        route: restored.then(|| if exact { "direct" } else { "reprefilled" }.into()),
        tokens_restored: restored.then_some(if exact { 211 } else { 0 }),
        tokens_evaluated: restored.then_some(if exact { 1 } else { 212 }),
        nmse: restored.then_some(if exact { 0.0 } else { 3.2e-7 }),
        kl: restored.then_some(if exact { 0.0 } else { 1.5e-5 }),
        top1_agreement: restored.then_some(1.0),
        floor: None,
        noise: Some(Floor { nmse: 1.5e-5, kl: 2.5e-4, logit: 0.125 }),
        oracle: None,
        saved_bytes: None,
        load_seconds: None,
        expected: Expected {
            outcome: vec![verdict],
            reason: (!exact).then(|| "A KV type of another kind cannot be copied.".into()),
            ..Expected::default()
        },
        matched: true,
        receipt: restored.then(|| receipt(exact)),
        log: Vec::new(),
        distances: if restored && !exact { vec![Some(0.0), Some(3.2e-7), None] } else { Vec::new() },
        seconds: 0.25,
    }
}

fn receipt(exact: bool) -> Receipt {
    let axes = if exact { Vec::new() } else { vec![kv_type()] };
    Receipt {
        route: if exact { "direct" } else { "reprefilled" }.into(),
        axes,
        tokens_restored: 211,
        tokens_evaluated: 1,
        canary_distance: Some(0.0),
        parameters: None,
        notes: vec!["The saved parameters are in force.".into()],
        timings: Timings {
            total_seconds: 0.01,
            steps: [("verify".to_owned(), 0.002)].into(),
            counts: BTreeMap::new(),
        },
    }
}

fn kv_type() -> AxisReport {
    let [axis, saved, here, consequence] = ["kv type", "f16", "q8_0", "reprefill"].map(str::to_owned);
    AxisReport { axis, saved, here, consequence, reason: "Values of another type cannot be copied.".into() }
}
