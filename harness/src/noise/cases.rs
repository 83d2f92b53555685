//! What is tried: settings that must change nothing, and what must be told from them.

use std::path::{Path, PathBuf};

use intact_format::gguf::{Gguf, Value};
use intact_format::layout::{Attention, Section, State};
use intact_protocol::{FlashAttention, Settings};

use super::StudyError;
use super::desk::SessionSetup;
use super::image::Spoil;
use crate::change::{Change, Lora};

/// What K and V are stored as, and how attention is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    F16,
    FlashOff,
    Q8_0,
    Q4_0,
    Q8_0Unrotated,
    Q4_0Unrotated,
}

impl Form {
    /// A setup with this form.
    pub(super) fn of(self, base: &SessionSetup) -> SessionSetup {
        let kind = match self {
            Self::F16 | Self::FlashOff => "f16",
            Self::Q8_0 | Self::Q8_0Unrotated => "q8_0",
            Self::Q4_0 | Self::Q4_0Unrotated => "q4_0",
        };
        let flash = if self == Self::FlashOff { FlashAttention::Off } else { FlashAttention::On };
        let settings = Settings {
            type_k: Some(kind.into()),
            type_v: Some(kind.into()),
            flash_attention: Some(flash),
            ..base.settings.clone()
        };
        SessionSetup {
            settings,
            rotates: !matches!(self, Self::Q8_0Unrotated | Self::Q4_0Unrotated),
            ..base.clone()
        }
    }
}

/// A way from a writer to a reader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) name: &'static str,
    pub(super) writer: Form,
    pub(super) reader: Form,
    /// Whether every wrong case is tried, or some.
    pub(super) thorough: bool,
}

const fn route(name: &'static str, writer: Form, reader: Form, thorough: bool) -> Route {
    Route { name, writer, reader, thorough }
}

/// The route on which nothing differs: states are restored directly or adopted, tokens evaluated again.
pub(super) const SAME: &str = "same settings";

pub(super) const ROUTES: [Route; 11] = [
    route(SAME, Form::F16, Form::F16, true),
    route("flash attention on → off", Form::F16, Form::FlashOff, true),
    route("flash attention off → on", Form::FlashOff, Form::F16, false),
    route("f16 → q8_0", Form::F16, Form::Q8_0, true),
    route("q8_0 → f16", Form::Q8_0, Form::F16, false),
    route("f16 → q4_0", Form::F16, Form::Q4_0, true),
    route("q4_0 → f16", Form::Q4_0, Form::F16, false),
    route("q8_0 → q4_0", Form::Q8_0, Form::Q4_0, false),
    route("q8_0, rotation on → off", Form::Q8_0, Form::Q8_0Unrotated, false),
    route("q8_0, rotation off → on", Form::Q8_0Unrotated, Form::Q8_0, false),
    route("q4_0, rotation on → off", Form::Q4_0, Form::Q4_0Unrotated, false),
];

/// Settings of a writer that change the last bits at most.
pub(super) fn harmless(thorough: bool) -> Vec<(&'static str, Settings)> {
    let ubatch = |n| Settings { n_ubatch: Some(n), ..Settings::default() };
    let sequences =
        |unified| Settings { n_seq_max: Some(3), kv_unified: Some(unified), ..Settings::default() };
    let threads = |n| Settings { threads: Some(n), ..Settings::default() };
    let mut harmless = vec![("n_ubatch 1", ubatch(1))];
    if thorough {
        harmless.extend([
            ("n_ubatch 16", ubatch(16)),
            ("n_ubatch 64", ubatch(64)),
            ("n_ubatch 100", ubatch(100)),
            ("threads 2", threads(2)),
            ("unified, 3 sequences", sequences(true)),
            ("not unified, 3 sequences", sequences(false)),
        ]);
    }
    harmless
}

/// The settings of a setup, with those that a case has.
pub(super) fn with(setup: &SessionSetup, case: &Settings) -> SessionSetup {
    let base = &setup.settings;
    let settings = Settings {
        n_ubatch: case.n_ubatch.or(base.n_ubatch),
        threads: case.threads.or(base.threads),
        n_seq_max: case.n_seq_max.or(base.n_seq_max),
        kv_unified: case.kv_unified.or(base.kv_unified),
        rope_freq_base: case.rope_freq_base.or(base.rope_freq_base),
        rope_freq_scale: case.rope_freq_scale.or(base.rope_freq_scale),
        lora: if case.lora.is_empty() { base.lora.clone() } else { case.lora.clone() },
        ..base.clone()
    };
    SessionSetup { settings, ..setup.clone() }
}

/// A writer that is not the reader's model.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub(super) name: String,
    pub(super) caught_by: &'static str,
    /// The model, where it is another file.
    pub(super) model: Option<PathBuf>,
    pub(super) settings: Settings,
    /// Whether it is tried on every route.
    pub(super) everywhere: bool,
}

const WEIGHTS: &str = "the content hash of the weights";
const ADAPTER: &str = "the content hash and the scale of the adapter";
const ROPE: &str = "the RoPE settings in the passport";

/// Makes the models of every wrong writer in a folder. `unquantized` is the model with weights that an adapter can be drawn
/// for, where there is one.
pub(super) fn wrongs(
    model: &Path,
    unquantized: Option<&Path>,
    folder: &Path,
    seed: u64,
) -> Result<Vec<Wrong>, StudyError> {
    let gguf = Gguf::open(model)?;
    let mut wrongs = Vec::new();
    let mut changed = |name: String, change: Change, everywhere: bool| -> Result<(), StudyError> {
        let file = folder.join(format!("{change}.gguf"));
        change.make(model, seed, &file)?;
        let settings = Settings::default();
        wrongs.push(Wrong { name, caught_by: WEIGHTS, model: Some(file), settings, everywhere });
        Ok(())
    };
    for (share, everywhere) in [(0.01, false), (0.03, true), (0.1, true)] {
        changed(format!("weights by {} %", share * 100.0), Change::Noise { share }, everywhere)?;
    }
    if let Some((first, second)) = layers(&gguf) {
        changed(format!("layers {first} and {second} swapped"), Change::Swap { first, second }, true)?;
    }
    if let Some(unquantized) = unquantized {
        for share in [0.01, 0.05] {
            let change = Lora { rank: 8, share };
            if unquantized == model {
                let file = folder.join(format!("merged-{share}.gguf"));
                Change::Merge(change).make(model, seed, &file)?;
                let name = format!("LoRA of {} % merged", share * 100.0);
                let settings = Settings::default();
                wrongs.push(Wrong {
                    name,
                    caught_by: WEIGHTS,
                    model: Some(file),
                    settings,
                    everywhere: false,
                });
            }
            let file = folder.join(format!("adapter-{share}.gguf"));
            Change::Adapter(change).make(unquantized, seed, &file)?;
            for (scale, what) in [(1.0, "absent"), (0.5, "at half scale")] {
                let name = format!("LoRA of {} % {what}", share * 100.0);
                let settings = Settings { lora: vec![(file.clone(), scale)], ..Settings::default() };
                wrongs.push(Wrong { name, caught_by: ADAPTER, model: None, settings, everywhere: false });
            }
        }
    }
    wrongs.extend(ropes(&gguf));
    Ok(wrongs)
}

fn ropes(gguf: &Gguf) -> Vec<Wrong> {
    let architecture = gguf.architecture().unwrap_or_default();
    let base = match gguf.get(&format!("{architecture}.rope.freq_base")) {
        Some(Value::Float(base)) => *base as f32,
        _ => 10_000.0,
    };
    let rope = |name: &str, settings: Settings| Wrong {
        name: name.into(),
        caught_by: ROPE,
        model: None,
        settings,
        everywhere: false,
    };
    let based = |factor: f32| Settings { rope_freq_base: Some(base * factor), ..Settings::default() };
    let scaled = |scale: f32| Settings { rope_freq_scale: Some(scale), ..Settings::default() };
    vec![
        rope("RoPE base × 1.1", based(1.1)),
        rope("RoPE base × 2", based(2.0)),
        rope("RoPE scale 0.9", scaled(0.9)),
        rope("RoPE scale 0.5", scaled(0.5)),
    ]
}

/// Two layers in the middle whose numbers have as many digits.
fn layers(gguf: &Gguf) -> Option<(u32, u32)> {
    let architecture = gguf.architecture().ok()?;
    let count = u32::try_from(gguf.number(&format!("{architecture}.block_count"))?).ok()?;
    let (first, second) = match count {
        0 | 1 => return None,
        2..=9 => (count / 3, (count * 2 / 3).max(count / 3 + 1)),
        10..=15 => (count / 3, 9),
        16..=99 => ((count * 2 / 5).max(10), (count * 2 / 3).max(12)),
        _ => (count / 5, count / 4),
    };
    (first < second && second < count).then_some((first, second))
}

/// What is spoilt on the way, and what catches it. Damage is told from wrong content: no measure of the whole has to see it.
pub(super) const SPOILT: [(&str, Spoil, bool, &str); 4] = [
    ("positions shifted by one", Spoil::Shift, true, CHUNKS),
    ("one cell of zeros", Spoil::Cell, false, CHUNKS),
    ("one K of zeros in one layer", Spoil::Key, false, CHUNKS),
    ("one V of zeros in one layer", Spoil::Value, false, CHUNKS),
];

/// What catches bytes that are not those that were saved.
pub(super) const CHUNKS: &str = "the hashes of the chunks";
/// What catches another session's image.
pub(super) const SESSION: &str = "the hashes of the chunks, and the digest of the tokens";
/// What catches bytes that were saved with another rotation.
pub(super) const ROTATION: &str = "the rotation in the passport";

/// The attention caches of a state.
pub(super) fn caches<'s, 'a>(state: &'s State<'a>) -> impl Iterator<Item = &'s Attention<'a>> {
    state.sections.iter().filter_map(|section| match section {
        Section::Attention(cache) => Some(cache),
        Section::Recurrent(_) => None,
    })
}
