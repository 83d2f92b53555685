//! `intact check`: will this session file load here, and how?

mod offline;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use intact_format::manifest::Manifest;
use intact_format::place::find_sidecar;
use intact_protocol::{AxisReport, Cage, Check as CheckRequest, Checked, Outcome, Replied, Request};
use intact_seal::Form;

use super::Failure;
use super::keys::KeyArguments;
use super::kind::Kind;
use super::migrate::unread;
use super::output::show;
use super::policy::Policy;
use super::scratch::ScratchArguments;
use super::stored::{Stored, refused};
use super::table::{plain, table};
use super::worker::{ContextArguments, told};
use crate::compat::Table;
use crate::exit::Exit;
use crate::nearest::nearest;
use crate::tags::{Release, default_home, known, select};
use crate::text::quoted;

const PATIENCE: Duration = Duration::from_secs(1800);
/// Where `intact compat` puts its table.
const TABLE: &str = "compat/compat.json";

/// Tell whether a session file will load with a model here, or in another llama.cpp release, and how
///
/// Compares everything that must match (the axes) between the file and this model, machine and release. Nothing is
/// loaded or changed. With --tag no model is needed: the file is compared with that release, with the model and the
/// settings that it was saved with. Ends with exit code 0 if the file will load, 100 if it will be refused.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The session file
    file: PathBuf,

    /// The model, a GGUF file
    #[arg(short, long, value_name = "FILE.gguf", required_unless_present = "tag")]
    model: Option<PathBuf>,

    /// A llama.cpp release instead of a model: a tag such as b8783 or 0.6.0, or a version of llama-cpp-sys-2
    #[arg(long, value_name = "TAG", conflicts_with_all = ["model", "manifest"])]
    tag: Option<String>,

    /// A table of `intact compat`, to show what runs found for that pair of releases [default: compat/compat.json, if
    /// it is there]
    #[arg(long, value_name = "FILE", requires = "tag")]
    table: Option<PathBuf>,

    #[command(flatten)]
    context: ContextArguments,

    /// Which ways of loading are allowed
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,

    /// Compare with the manifest beside the session file too
    #[arg(long)]
    manifest: bool,

    #[command(flatten)]
    keys: KeyArguments,

    #[command(flatten)]
    scratch: ScratchArguments,

    /// Show the axes that are the same too
    #[arg(long)]
    all: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        let (file, json, all) = (self.file.clone(), self.json, self.all);
        unless_other(&file, self.model.as_deref())?;
        let warned;
        let (place, mut checked) = match (self.tag.clone(), self.model.clone()) {
            (Some(tag), _) => {
                let release = release(&tag)?;
                let mut stored = Stored::open(&file, &self.keys)?;
                warned = stored.warning;
                let mut checked = offline::check(&file, &mut stored, &release, self.policy)?;
                checked.notes.extend(self.cited(&mut stored, &release)?);
                (format!("into {}", release.tag), checked)
            }
            (None, Some(model)) => {
                let stored = Stored::open(&file, &self.keys)?;
                warned = stored.warning;
                ("here".to_owned(), self.with_model(stored, &model)?)
            }
            (None, None) => return Err(Failure::setup("neither a model nor a release was given")),
        };
        if json {
            checked.notes.extend(warned.map(str::to_owned));
        }
        show(&checked, json, |checked| rendered(checked, &place, all))?;
        Ok(if loads(&checked) { Exit::Fine } else { Exit::GateFailed })
    }

    /// What runs found on that way, where there is a table of them.
    fn cited(&self, stored: &mut Stored, release: &Release) -> Result<Option<String>, Failure> {
        let table = match &self.table {
            Some(table) => table.as_path(),
            None if Path::new(TABLE).is_file() => Path::new(TABLE),
            None => return Ok(None),
        };
        let read = Table::read(table).map_err(Failure::setup)?;
        let document = stored.read().map_err(|error| unread(&self.file, &error))?.document;
        let cited = document.passport.map(|saved| read.cited(&saved, &release.tag));
        Ok(cited.map(|cited| format!("{}, {cited}", table.display())))
    }

    fn with_model(self, mut stored: Stored, model: &Path) -> Result<Checked, Failure> {
        let is_plain = stored.form() == Form::Plain;
        if self.manifest && !is_plain {
            return Err(Failure::setup("only a plain session can be compared with a manifest")
                .help("`intact unseal` writes a plain one"));
        }
        let scratch = if is_plain { None } else { Some(self.scratch.make()?) };
        let path = match &scratch {
            None => {
                std::path::absolute(&self.file).map_err(|error| Failure::unreadable(&self.file, &error))?
            }
            Some(scratch) => scratch.file(),
        };
        let read = match &scratch {
            None => vec![path.clone(), find_sidecar(&path), Manifest::path_of(&path)],
            Some(scratch) => vec![scratch.folder().to_owned()],
        };
        let mut session = self.context.open(model, Cage { read, write: Vec::new() })?;
        if let Some(scratch) = &scratch {
            let taken = scratch.take(&mut stored.source).map_err(|error| refused(&self.file, &error))?;
            taken.tell();
        }
        let request = CheckRequest { path, routes: self.policy.names(), manifest: self.manifest };
        let answer = session.ask(Request::Check(request), PATIENCE, &mut |_| {})?;
        session.leave();
        match answer {
            Ok(Replied::Check(checked)) => Ok(checked),
            Err(Outcome::Refused(refusal)) => Ok(Checked {
                route: "refused".into(),
                axes: Vec::new(),
                refusal: Some(refusal),
                notes: Vec::new(),
            }),
            other => Err(Failure::setup(told(&other)).exit(Exit::NoVerdict)),
        }
    }
}

/// The release of that name.
pub(super) fn release(name: &str) -> Result<Release, Failure> {
    let home = default_home();
    let found = select(&[name.to_owned()], home.as_deref()).map_err(|error| {
        let all = known(home.as_deref());
        let tags: Vec<&str> = all.iter().map(|release| release.tag.as_str()).collect();
        let failure = Failure::setup(error);
        match nearest(name, &tags) {
            Some(near) => failure.help(format!("did you mean `{near}`? `intact tags list` shows them all")),
            None => failure.help("`intact tags list` shows the releases and their packages"),
        }
    })?;
    found.into_iter().next().ok_or_else(|| Failure::setup(format!("no release is called `{name}`")))
}

fn loads(checked: &Checked) -> bool {
    checked.refusal.is_none() && checked.route != "refused"
}

/// What is no session file is named, with the command for it.
fn unless_other(file: &Path, model: Option<&Path>) -> Result<(), Failure> {
    let name = file.display();
    let model = model.map_or_else(|| "my-model.gguf".into(), |model| quoted(&model.display().to_string()));
    let (what, help) = match Kind::of(file)? {
        Kind::Session => return Ok(()),
        Kind::Foreign(kind) => (
            format!("a {kind} of llama.cpp's own"),
            format!(
                "`intact adopt {} --model {model}` makes a session file of it, once it has proved to be of that model; \
                 `intact inspect` says what is in it",
                quoted(&name.to_string())
            ),
        ),
        Kind::Sidecar => {
            ("the KV image of a session".into(), "give the session file, which is beside it".into())
        }
        Kind::Bundle => (
            "a bundle that `intact pack` made".into(),
            format!("`intact unpack {}` takes the session out", quoted(&name.to_string())),
        ),
        Kind::Model => ("a model".into(), "give the session file; the model goes after --model".into()),
    };
    Err(Failure::setup(format!("{name} is {what}, not a session file")).help(help))
}

fn rendered(checked: &Checked, place: &str, all: bool) -> String {
    let mut out = String::new();
    let (route_name, means) = (plain(&checked.route), route(&checked.route));
    match &checked.refusal {
        Some(refusal) => {
            let _ = writeln!(out, "This file will not load {place} ({}).", plain(&refusal.code));
            refusal.message.lines().for_each(|line| out += &(plain(line) + "\n"));
        }
        None if checked.route == "refused" => {
            let _ = writeln!(out, "This file will not load {place}: {means}.");
        }
        None => {
            let _ = writeln!(out, "This file will load {place}. Route: {route_name}, {means}.");
        }
    }
    for note in &checked.notes {
        let _ = writeln!(out, "note: {}", plain(note));
    }
    let (differing, same): (Vec<_>, Vec<_>) =
        checked.axes.iter().partition(|axis| axis.consequence != "same");
    let shown: Vec<_> = differing.iter().chain(same.iter().filter(|_| all)).map(|axis| row(axis)).collect();
    if !shown.is_empty() {
        out += &format!("\n{}", table(["axis", "saved", "here", "consequence"], &shown));
    }
    if differing.iter().any(|axis| !axis.reason.is_empty()) {
        out.push('\n');
    }
    for axis in differing.iter().filter(|axis| !axis.reason.is_empty()) {
        let _ = writeln!(out, "{}: {}", plain(&axis.axis), plain(&axis.reason));
    }
    match (same.len(), differing.is_empty()) {
        _ if all => {}
        (0, _) => {}
        (1, _) => out += "\n1 axis is the same; --all shows it.\n",
        (many, true) => out += &format!("\nAll {many} axes are the same; --all shows them.\n"),
        (many, false) => out += &format!("\n{many} axes are the same; --all shows them.\n"),
    }
    out
}

fn row(axis: &AxisReport) -> [String; 4] {
    let short = |value: &str| {
        if value.chars().count() > 40 {
            value.chars().take(37).chain("...".chars()).collect()
        } else {
            value.to_owned()
        }
    };
    [axis.axis.clone(), short(&axis.saved), short(&axis.here), axis.consequence.clone()]
}

/// What a route means for whoever waits for the load.
pub(super) fn route(name: &str) -> &'static str {
    match name {
        "direct" => "the saved KV is used as it is",
        "transcoded" => "the saved KV is translated for this context",
        "reprefilled" => "the KV cannot be used, so the saved tokens are evaluated again",
        "replayed" => "another model: it evaluates the messages again",
        "refused" => "no allowed way is left",
        _ => "as the worker names it",
    }
}

#[cfg(test)]
mod tests {
    use intact_protocol::Refusal;

    use super::*;

    fn axis(name: &str, consequence: &str) -> AxisReport {
        let [saved, here] = ["f16", "q8_0"].map(str::to_owned);
        AxisReport {
            axis: name.into(),
            saved,
            here,
            consequence: consequence.into(),
            reason: "Types differ.".into(),
        }
    }

    #[test]
    fn the_answer_comes_first_and_then_what_differs() {
        let axes = vec![axis("release", "same"), axis("kv-type", "reprefill"), axis("model", "same")];
        let checked = Checked { route: "reprefilled".into(), axes, refusal: None, notes: Vec::new() };
        let text = rendered(&checked, "here", false);
        assert!(
            text.starts_with("This file will load here. Route: reprefilled, the KV cannot be used"),
            "{text}"
        );
        assert!(
            text.contains("kv-type: Types differ.") && text.contains("2 axes are the same; --all"),
            "{text}"
        );
        assert!(!text.contains("release"), "{text}");
        let text = rendered(&checked, "here", true);
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(at("This file") < at("kv-type") && at("kv-type") < at("release"), "{text}");
        assert!(!text.contains("--all") && !text.contains("release: Types differ."), "{text}");
        assert!(loads(&checked));
    }

    #[test]
    fn a_refusal_is_told_with_its_code() {
        let refusal =
            Refusal { code: "model-mismatch".into(), message: "Other weights.".into(), axes: Vec::new() };
        let checked =
            Checked { route: "refused".into(), axes: Vec::new(), refusal: Some(refusal), notes: Vec::new() };
        assert!(!loads(&checked));
        assert_eq!(
            rendered(&checked, "here", false),
            "This file will not load here (model-mismatch).\nOther weights.\n"
        );
    }
}
