//! The entries of each kind, out of the tables that decide.

use intact_format::layout::{CellExtension, LAYOUTS, Layout, RotationRule};
use intact_format::passport::{Axis, Consequence};
use intact_format::route::{RefusalCode, Route};

use intact_matrix::config::{AxisConfig, Config};

use super::advice::{Advice, TABLE};
use super::{Entry, Kind};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::verdict::Verdict;

/// Everything of one kind, in the order of its table.
pub(super) fn of_kind(kind: Kind, config: &Config) -> Vec<Entry> {
    match kind {
        Kind::Verdict => advised(kind, &TABLE.verdict, |name| {
            Verdict::from_name(name).map(|verdict| sentence(verdict.meaning()))
        }),
        Kind::Exit => advised(kind, &TABLE.exit, |name| {
            let exit = Exit::ALL.into_iter().find(|exit| exit.code().to_string() == name);
            exit.map(|exit| exit.meaning().to_owned())
        }),
        Kind::Finding => advised(kind, &TABLE.finding, |_| None),
        Kind::Code => advised(kind, &TABLE.code, |_| None),
        Kind::Route => advised(kind, &TABLE.route, |name| {
            name.parse::<Route>().ok().map(|route| route.meaning().to_owned())
        }),
        Kind::Refusal => RefusalCode::all().map(of_refusal).collect(),
        Kind::PassportAxis => Axis::all().map(of_passport_axis).collect(),
        Kind::MatrixAxis => config.axes.iter().map(of_matrix_axis).collect(),
        Kind::Fault => Fault::all().map(|fault| of_fault(fault, config)).collect(),
        Kind::Layout => {
            let before = std::iter::once(None).chain(LAYOUTS.iter().map(Some));
            before.zip(&LAYOUTS).map(|(before, layout)| of_layout(before, layout)).collect()
        }
    }
}

/// Entries of a table of advice; another table may say what they mean.
fn advised(kind: Kind, table: &[Advice], meaning: impl Fn(&str) -> Option<String>) -> Vec<Entry> {
    let entry = |advice: &Advice| Entry {
        kind,
        name: advice.name.clone(),
        meaning: meaning(&advice.name).or_else(|| advice.meaning.clone()).unwrap_or_default(),
        details: Vec::new(),
        since: None,
        next: advice.next.clone(),
        example: advice.example.clone(),
    };
    table.iter().map(entry).collect()
}

fn of_refusal(code: RefusalCode) -> Entry {
    let axes: Vec<&str> = Axis::all().filter(|axis| axis.refusal_code() == code).map(Axis::name).collect();
    let blamed = (!axes.is_empty()).then(|| format!("given where these axes differ: {}", axes.join(", ")));
    Entry {
        kind: Kind::Refusal,
        name: code.as_str().to_owned(),
        meaning: code.summary().to_owned(),
        details: blamed.into_iter().collect(),
        since: None,
        next: code.next_step().to_owned(),
        example: TABLE.shows(code.as_str()).map(str::to_owned),
    }
}

fn of_passport_axis(axis: Axis) -> Entry {
    let details = axis
        .effects()
        .map(|(consequence, reason)| format!("where it differs: {consequence}, because {reason}"));
    let harmless = axis.effects().all(|(consequence, _)| consequence <= Consequence::Transcode);
    Entry {
        kind: Kind::PassportAxis,
        name: axis.name().to_owned(),
        meaning: axis.meaning().to_owned(),
        details: details.collect(),
        since: None,
        next: if harmless {
            "nothing: the saved KV is used all the same".to_owned()
        } else {
            axis.refusal_code().next_step().to_owned()
        },
        example: Some("intact check SESSION.json --model MODEL.gguf --all".to_owned()),
    }
}

fn of_matrix_axis(axis: &AxisConfig) -> Entry {
    let values: Vec<&str> = axis.values.iter().map(|value| value.get_ref().as_str()).collect();
    let details = match (values.as_slice(), axis.releases, axis.subjects) {
        (_, true, _) => vec!["its values are llama.cpp releases; `intact tags list` shows them".to_owned()],
        ([], _, _) => vec!["its values are systems; `intact subjects list` shows them".to_owned()],
        (values, ..) => vec![format!("values: {}", values.join(", "))],
    };
    let other = values.get(1).or(values.first());
    let other = other.map(|value| format!("intact run -E '{}({value})' --out out", axis.name));
    Entry {
        kind: Kind::MatrixAxis,
        name: axis.name.clone(),
        meaning: sentence(&axis.about),
        details: details.into_iter().chain(axis.uncontrolled.as_deref().map(sentence)).collect(),
        since: None,
        next: format!("select its values with a filter, as in {}(…)", axis.name),
        example: other.or_else(|| Some("intact plan release".to_owned())),
    }
}

fn of_fault(fault: Fault, config: &Config) -> Entry {
    let name = fault.name();
    let axis = config.axes.iter().find(|axis| axis.values.iter().any(|value| value.get_ref() == name));
    Entry {
        kind: Kind::Fault,
        name: name.to_owned(),
        meaning: sentence(fault.about()),
        details: Vec::new(),
        since: None,
        next: "nothing: whoever loads such a session must be told, and no other session may be harmed"
            .to_owned(),
        example: axis.map(|axis| format!("intact run -E '{}({name})' --out out", axis.name)),
    }
}

fn of_layout(before: Option<&Layout>, layout: &Layout) -> Entry {
    let changes = before.map_or_else(Vec::new, |before| changes(before, layout));
    Entry {
        kind: Kind::Layout,
        name: layout.id.to_owned(),
        meaning: match before {
            None => "the oldest layout that is read here".to_owned(),
            Some(before) => format!("what follows the layout {}", before.id),
        },
        details: changes,
        since: Some(layout.since.to_owned()),
        next: "nothing for sessions of intact, which are converted; llama.cpp's own files are read by releases of their layout only"
            .to_owned(),
        example: Some("intact tags list".to_owned()),
    }
}

/// What one layout has that the one before it has not, and the other way round.
pub(crate) fn changes(before: &Layout, layout: &Layout) -> Vec<String> {
    let version = |what: &str, old: u32, new: u32| {
        (old != new).then(|| format!("version of {what}: {new}, which was {old}"))
    };
    let flag = |what: &str, old: bool, new: bool| {
        (old != new).then(|| format!("{what}: {}", if new { "from now on" } else { "no longer" }))
    };
    let extension = |of: CellExtension| match of {
        CellExtension::Absent => "nothing",
        CellExtension::Position => "a position in two dimensions",
        CellExtension::PositionAndToken => "a position in two dimensions, and the id of the token",
    };
    let rotation = |of: RotationRule| match of {
        RotationRule::Never => "never",
        RotationRule::Silent => "yes, and the state does not say so",
        RotationRule::Recorded => "yes, and the state says so",
    };
    let worded = |what: &str, old: &str, new: &str| (old != new).then(|| format!("{what}: {new}"));
    [
        version("sequence files", before.sequence_file_version, layout.sequence_file_version),
        version("session files", before.session_file_version, layout.session_file_version),
        flag("a magic word before raw states", before.blob_prefix, layout.blob_prefix),
        flag("the number of streams", before.stream_count, layout.stream_count),
        flag("streams without cells end at once", before.empty_stream_stops, layout.empty_stream_stops),
        worded(
            "written with the cells of models that need it",
            extension(before.cell_extension),
            extension(layout.cell_extension),
        ),
        worded("quantized K and V are rotated", rotation(before.rotation), rotation(layout.rotation)),
        flag("second rows of recurrent layers", before.second_rows, layout.second_rows),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A sentence as a clause: without its full stop.
fn sentence(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}
