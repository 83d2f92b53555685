//! A session file and the image beside it.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::canary::Canary;
use intact_format::image::ImageReference;
use intact_format::image::sidecar::Sidecar;
use intact_format::inputs::TemplateInputs;
use intact_format::manifest::Manifest;
use intact_format::message::{KvStatus, Message, ToolCall};
use intact_format::parameters::Parameters;
use intact_format::passport::Passport;
use intact_format::place::find_sidecar;
use intact_format::session::SessionDocument;
use intact_seal::Origin;
use serde::Serialize;
use serde_json::Value;

use super::bytes;
use crate::command::Failure;
use crate::command::keys::KeyArguments;
use crate::command::stored::{Stored, form_name};
use crate::command::table::{facts, plain, table};
use crate::quantity::counted;

/// Characters of a message that the table shows.
const PREVIEW: usize = 56;

/// What is in a session file.
#[derive(Serialize)]
pub(super) struct Session {
    kind: &'static str,
    file: PathBuf,
    bytes: u64,
    form: &'static str,
    /// The key that it is signed with.
    signed_by: Option<String>,
    format: String,
    session_id: String,
    saved_at: Option<String>,
    tokens: Option<usize>,
    positions: u64,
    messages: Vec<Turn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_inputs: Option<TemplateInputs>,
    manifest: Option<Manifest>,
    parameters: Option<Parameters>,
    passport: Option<Passport>,
    canary: Option<Canary>,
    image: Option<ImageReference>,
    sidecar: Option<Beside>,
    notes: Vec<String>,
    /// What is to be known before it is believed.
    warnings: Vec<&'static str>,
}

#[derive(Serialize)]
struct Turn {
    id: i32,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
    media: usize,
    start: Option<u32>,
    size: Option<u32>,
    status: &'static str,
}

#[derive(Serialize)]
struct Call {
    id: Option<String>,
    name: String,
    arguments: String,
}

#[derive(Serialize)]
struct Beside {
    file: PathBuf,
    bytes: Option<u64>,
    problem: Option<String>,
}

impl Session {
    pub(super) fn read(file: &Path, keys: &KeyArguments) -> Result<Self, Failure> {
        let stored = Stored::open(file, keys)?;
        let length = fs::metadata(file).map_err(|error| Failure::unreadable(file, &error))?.len();
        let read = stored.read().map_err(|error| {
            Failure::setup(format!("{}: {error}", file.display()))
                .help("`intact inspect` knows session files, their .kv images, llama.cpp's GGSQ and GGSN files and GGUF models")
        })?;
        let SessionDocument {
            session_id,
            saved_at,
            history,
            inputs,
            manifest,
            parameters,
            passport,
            canary,
            image,
            ..
        } = read.document.clone();
        Ok(Self {
            kind: "session",
            file: file.to_owned(),
            bytes: length,
            form: form_name(stored.form()),
            signed_by: match stored.origin() {
                Origin::Signed(author) => Some(author.to_string()),
                _ => None,
            },
            warnings: stored.warning.into_iter().collect(),
            format: read.written_as.to_string(),
            session_id: session_id.to_string(),
            saved_at: saved_at.map(|time| time.to_string()),
            tokens: read.document.tokens().map(|tokens| tokens.len()),
            positions: read.document.positions(),
            messages: history.iter().map(turn).collect(),
            template_inputs: inputs,
            manifest,
            parameters,
            passport,
            canary,
            sidecar: image.is_some().then(|| beside(file)),
            image,
            notes: read.notes,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            (
                "file".to_owned(),
                format!("{} session file, format {}, {}", self.form, self.format, bytes(self.bytes)),
            ),
            ("session".into(), self.session_id.clone()),
            ("saved".into(), self.saved_at.clone().unwrap_or_else(|| "the file does not say when".into())),
            (
                "tokens".into(),
                self.tokens.map_or_else(
                    || format!("not in the file; {} positions", self.positions),
                    |count| count.to_string(),
                ),
            ),
        ];
        lines.extend(self.signed_by.iter().map(|author| ("signed by".to_owned(), author.clone())));
        lines.extend(self.template_inputs.iter().flat_map(given));
        lines.extend(self.passport.iter().flat_map(passport));
        lines.extend(self.canary.iter().map(|canary| {
            (
                "canary".to_owned(),
                format!(
                    "top {} logits after token {} at position {}",
                    canary.top_k.len(),
                    canary.token,
                    canary.position
                ),
            )
        }));
        lines.extend(self.image.iter().flat_map(image));
        lines.extend(self.sidecar.iter().map(|beside| ("image file".to_owned(), beside.text())));
        let rows: Vec<_> = self.messages.iter().map(Turn::row).collect();
        let mut text = facts(&lines) + "\n" + &table(["id", "role", "positions", "kv", "content"], &rows);
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }
}

fn turn(message: &Message) -> Turn {
    Turn {
        id: message.id,
        role: message.role.as_str(),
        name: message.details.name.clone(),
        reasoning: message.details.reasoning.clone(),
        content: message.content.clone(),
        tool_calls: message.details.tool_calls.iter().map(Call::of).collect(),
        tool_call_id: message.details.tool_call_id.clone(),
        media: message.media.len(),
        start: message.span.map(|span| span.start),
        size: message.span.map(|span| span.size),
        status: match message.status {
            KvStatus::Loaded => "loaded",
            KvStatus::MarkedForCleanup => "marked",
            KvStatus::Unloaded => "unloaded",
        },
    }
}

impl Turn {
    fn row(&self) -> [String; 5] {
        let positions = match (self.start, self.size) {
            (Some(start), Some(size)) if size > 0 => {
                format!("{start}..{}", u64::from(start) + u64::from(size))
            }
            _ => "-".to_owned(),
        };
        let thought = self.reasoning.iter().map(|reasoning| format!("[thinks: {}]", preview(reasoning)));
        let calls =
            self.tool_calls.iter().map(|call| format!("[calls {}({})]", call.name, preview(&call.arguments)));
        let answers = self.tool_call_id.iter().map(|id| format!("[answers {id}]"));
        let said = Some(preview(&self.content)).filter(|text| !text.is_empty());
        let mut content = thought.chain(answers).chain(said).chain(calls).collect::<Vec<_>>().join(" ");
        if self.media > 0 {
            content = format!("[{} attached] {content}", self.media);
        }
        [self.id.to_string(), self.role.into(), positions, self.status.into(), content]
    }
}

/// The beginning of a text, on one line.
fn preview(text: &str) -> String {
    let mut line: String = text.lines().collect::<Vec<_>>().join(" ").chars().take(PREVIEW).collect();
    if line.len() < text.len() {
        line.push_str(" ...");
    }
    line
}

/// What the chat template is given besides the messages.
fn given(inputs: &TemplateInputs) -> Vec<(String, String)> {
    let names = |tools: &str| {
        let tools: Vec<Value> = serde_json::from_str(tools).unwrap_or_default();
        let name = |tool: &Value| {
            tool.pointer("/function/name").or(tool.get("name")).and_then(Value::as_str).map(plain)
        };
        let names: Vec<_> =
            tools.iter().map(|tool| name(tool).unwrap_or_else(|| "one without a name".into())).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let lines = [
        ("tools", inputs.tools.as_deref().map(names)),
        ("template arguments", inputs.arguments.as_deref().map(plain)),
        ("rendered on", inputs.date.map(|date| date.to_string())),
    ];
    lines.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl Call {
    fn of(call: &ToolCall) -> Self {
        Self { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() }
    }
}

fn passport(passport: &Passport) -> Vec<(String, String)> {
    let (model, cache) = (&passport.model, &passport.cache);
    let adapters: Vec<_> =
        passport.adapters.iter().map(|adapter| format!("{} × {}", adapter.file, adapter.scale)).collect();
    let from = model.repository.as_ref().map(|repository| format!(" from {repository}")).unwrap_or_default();
    let mut lines = vec![
        (
            "model",
            format!(
                "{}{from}: {}, {}, {}",
                model.file,
                model.architecture,
                model.quantization,
                bytes(model.size)
            ),
        ),
        ("model hash", format!("sha256 {}", model.sha256)),
        ("written by", format!("engine {}, llama.cpp {}", passport.engine, passport.release)),
        ("layout", passport.layout.clone().unwrap_or_else(|| "not known".into())),
        (
            "cache",
            format!(
                "K {}, V {}{}, {} tokens of context, {}, {}",
                cache.type_k,
                cache.type_v,
                if cache.v_transposed { " transposed" } else { "" },
                cache.n_ctx,
                counted(cache.n_seq_max as usize, "sequence", "sequences"),
                if cache.unified { "unified" } else { "a stream for each" }
            ),
        ),
        ("rope", format!("base {}, scale {}", passport.rope.base, passport.rope.scale)),
        ("preset", passport.preset.clone().unwrap_or_else(|| "none".into())),
        (
            "machine",
            format!(
                "{}, {}, {}",
                passport.machine.backend,
                counted(passport.machine.threads as usize, "thread", "threads"),
                passport.machine.cpu_features.join(" ")
            ),
        ),
    ];
    if !adapters.is_empty() {
        lines.push(("adapters", adapters.join(", ")));
    }
    lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn image(image: &ImageReference) -> Vec<(String, String)> {
    match image {
        ImageReference::Opaque(opaque) => {
            vec![(
                "image".into(),
                format!(
                    "opaque, {}, {}: {}",
                    counted(opaque.chunks.len(), "chunk", "chunks"),
                    bytes(opaque.bytes),
                    plain(&opaque.reason)
                ),
            )]
        }
        ImageReference::Cells(cells) => {
            let mut lines =
                vec![("image".to_owned(), format!("layout {}, {}", cells.layout, bytes(cells.bytes)))];
            lines.extend(cells.sections.iter().map(|section| {
                let value = section.value_type.as_ref().map(|kind| format!(", V {kind}")).unwrap_or_default();
                let cells = format!(
                    "{} cells at positions {}..={}",
                    section.cells, section.first_position, section.last_position
                );
                (
                    "section".to_owned(),
                    format!(
                        "{cells}, K {}{value}, {}",
                        section.key_type,
                        counted(section.chunks.len(), "chunk", "chunks")
                    ),
                )
            }));
            lines
        }
    }
}

fn beside(file: &Path) -> Beside {
    let file = find_sidecar(file);
    match Sidecar::open(&file) {
        Ok(sidecar) => Beside { bytes: Some(sidecar.length()), problem: None, file },
        Err(error) => Beside { bytes: None, problem: Some(error.to_string()), file },
    }
}

impl Beside {
    fn text(&self) -> String {
        match (self.bytes, &self.problem) {
            (Some(length), _) => format!("{}, {}", self.file.display(), bytes(length)),
            (None, problem) => format!("unusable: {}", problem.as_deref().unwrap_or("missing")),
        }
    }
}
