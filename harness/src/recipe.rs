//! Recipes: what a cell does, made from its values by what its axes set.

use std::fmt::Display;
use std::str::FromStr;

use intact_protocol::{FlashAttention, ParameterSource, Sampling, Settings};

use crate::config::Config;
use crate::fault::Fault;
use crate::results::Dims;

/// The value of an axis that means: as the writer has it.
pub const SAME: &str = "same";
/// The value of a dimension that means nothing to the cell's subject.
pub const INAPPLICABLE: &str = "-";

/// What a cell does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recipe {
    /// Name of the model that the session is saved with.
    pub model: String,
    /// The model's variant that the reader opens; `None` for the same file.
    pub reader_model: Option<String>,
    /// Where the session is saved.
    pub writer: Place,
    /// Where it is loaded.
    pub reader: Place,
    /// Format version that is written.
    pub format: Option<String>,
    /// Format version whose reader is played.
    pub reader_format: Option<String>,
    /// Routes that are allowed; `None` for the subject's own default.
    pub routes: Option<Vec<String>>,
    /// Where the loaded session takes its parameters from.
    pub parameters: ParameterSource,
    /// What the reader is asked to do with the files.
    pub operation: LoadOperation,
    /// What happens to the files between save and load.
    pub fault: Option<Fault>,
    /// What is played.
    pub scenario: Scenario,
    /// What the session is when it is saved.
    pub session: SessionForm,
}

/// One side of a cell: everything about it but the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// Settings of its contexts.
    pub settings: Settings,
    /// The preset that its sessions are created from.
    pub preset: Option<String>,
    /// Name of the model's LoRA adapters that are applied.
    pub adapter: Option<String>,
    /// Name of the model's control vectors that are applied.
    pub control_vector: Option<String>,
    /// llama.cpp's rotation of quantized K and V is switched off.
    pub unrotated: bool,
    /// The installed subject, `name@version`, that takes the place of the cell's; `None` for that one.
    pub subject: Option<String>,
    /// The llama.cpp release; `None` for that of the configured worker.
    pub release: Option<String>,
    /// What the unprotected subject keeps states in; `None` for its own default.
    pub container: Option<String>,
    /// It plays a release whose layout is not known.
    pub forgets_layouts: bool,
}

/// The environment variable that switches llama.cpp's rotation of quantized K and V off.
const NO_ROTATION: (&str, &str) = ("LLAMA_ATTN_ROT_DISABLE", "1");

impl Place {
    /// Environment variables of its process.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let variable = self.unrotated.then(|| (NO_ROTATION.0.to_owned(), NO_ROTATION.1.to_owned()));
        variable.into_iter().collect()
    }

    /// The same but for how replies are sampled.
    #[must_use]
    pub fn sampling_as(&self, other: &Self) -> Self {
        let settings = Settings { sampling: other.settings.sampling.clone(), ..self.settings.clone() };
        Self { settings, ..self.clone() }
    }
}

/// What a session is when it is saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionForm {
    /// The conversation's turns.
    #[default]
    Turns,
    /// The turns several times over, then older messages leave: longer than any window, and than the smaller contexts, which it outgrows.
    Long,
    /// One message and a reply of one token.
    OneToken,
    /// The turns, and a reply that was interrupted after some tokens.
    Interrupted,
    /// The turns, and a message that was not answered.
    Pending,
    /// The turns, after older messages left the context.
    CleanedUp,
    /// Nothing said, not even a system prompt.
    Empty,
}

impl SessionForm {
    const NAMES: [(&'static str, Self); 7] = [
        ("turns", Self::Turns),
        ("long", Self::Long),
        ("one-token", Self::OneToken),
        ("interrupted", Self::Interrupted),
        ("pending", Self::Pending),
        ("cleaned-up", Self::CleanedUp),
        ("empty", Self::Empty),
    ];

    /// A short name for files.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, form)| *form == self).map_or("", |(name, _)| name)
    }
}

/// How a reader takes a saved session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadOperation {
    /// It loads the session file.
    #[default]
    Load,
    /// It adopts the state file beside it, which another system wrote.
    Adopt,
}

impl LoadOperation {
    const NAMES: [(&'static str, Self); 2] = [("load", Self::Load), ("adopt", Self::Adopt)];
}

/// What is played in a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Save, load in another process, continue.
    #[default]
    Resume,
    /// The same, but a live session of the same id is there before the load.
    Replace,
    /// Save, load, save again from there, load that in a third process, continue.
    Relay,
    /// The same, but the third process is as the one that wrote first.
    WriteBack,
}

impl Scenario {
    const NAMES: [(&'static str, Self); 4] = [
        ("resume", Self::Resume),
        ("replace", Self::Replace),
        ("relay", Self::Relay),
        ("write-back", Self::WriteBack),
    ];
}

/// What the value of an axis sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The model.
    Model,
    /// The model's variant that the reader opens.
    ReaderModel,
    /// A setting of the writer.
    Writer(Setting),
    /// A setting of the reader.
    Reader(Setting),
    /// The format version that is written.
    Format,
    /// The format version whose reader is played.
    ReaderFormat,
    /// The load policy.
    Policy,
    /// Where parameters come from.
    Parameters,
    /// What the reader is asked to do.
    Operation,
    /// What happens to the files.
    Fault,
    /// What is played.
    Scenario,
    /// What the session is.
    Session,
    /// How the writer samples.
    Sampling,
    /// The preset of the writer.
    WriterPreset,
    /// The preset of the reader.
    ReaderPreset,
    /// The LoRA adapters of the writer.
    WriterAdapter,
    /// The LoRA adapters of the reader.
    ReaderAdapter,
    /// The control vectors of the writer.
    WriterControlVector,
    /// The control vectors of the reader.
    ReaderControlVector,
    /// The llama.cpp release that writes.
    WriterRelease,
    /// The llama.cpp release that reads.
    ReaderRelease,
    /// The installed subject that writes.
    WriterSubject,
    /// The installed subject that reads.
    ReaderSubject,
    /// What the blind path keeps states in.
    Container,
    /// Whether the writer rotates quantized K and V.
    WriterRotation,
    /// Whether the reader does.
    ReaderRotation,
    /// Whether the writer knows layouts.
    WriterLayouts,
    /// Whether the reader does.
    ReaderLayouts,
}

/// A setting of a context, by its name in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `n_ctx`
    NCtx,
    /// `n_batch`
    NBatch,
    /// `n_ubatch`
    NUbatch,
    /// `n_seq_max`
    NSeqMax,
    /// `threads`
    Threads,
    /// `type_k`
    TypeK,
    /// `type_v`
    TypeV,
    /// `flash_attention`
    FlashAttention,
    /// `kv_unified`
    KvUnified,
    /// `swa_full`
    SwaFull,
    /// `rope_freq_base`
    RopeFreqBase,
    /// `rope_freq_scale`
    RopeFreqScale,
    /// `yarn_ext_factor`
    YarnExtFactor,
    /// `fragmented`
    Fragmented,
}

const SETTINGS: [(&str, &str, Setting); 14] = [
    ("writer.fragmented", "reader.fragmented", Setting::Fragmented),
    ("writer.n_ctx", "reader.n_ctx", Setting::NCtx),
    ("writer.n_batch", "reader.n_batch", Setting::NBatch),
    ("writer.n_ubatch", "reader.n_ubatch", Setting::NUbatch),
    ("writer.n_seq_max", "reader.n_seq_max", Setting::NSeqMax),
    ("writer.threads", "reader.threads", Setting::Threads),
    ("writer.type_k", "reader.type_k", Setting::TypeK),
    ("writer.type_v", "reader.type_v", Setting::TypeV),
    ("writer.flash_attention", "reader.flash_attention", Setting::FlashAttention),
    ("writer.kv_unified", "reader.kv_unified", Setting::KvUnified),
    ("writer.swa_full", "reader.swa_full", Setting::SwaFull),
    ("writer.rope_freq_base", "reader.rope_freq_base", Setting::RopeFreqBase),
    ("writer.rope_freq_scale", "reader.rope_freq_scale", Setting::RopeFreqScale),
    ("writer.yarn_ext_factor", "reader.yarn_ext_factor", Setting::YarnExtFactor),
];

const WHOLES: [(&str, Target); 26] = [
    ("model", Target::Model),
    ("reader.model", Target::ReaderModel),
    ("format", Target::Format),
    ("reader.format", Target::ReaderFormat),
    ("policy", Target::Policy),
    ("parameters", Target::Parameters),
    ("operation", Target::Operation),
    ("fault", Target::Fault),
    ("scenario", Target::Scenario),
    ("session", Target::Session),
    ("sampling", Target::Sampling),
    ("writer.preset", Target::WriterPreset),
    ("reader.preset", Target::ReaderPreset),
    ("writer.adapter", Target::WriterAdapter),
    ("reader.adapter", Target::ReaderAdapter),
    ("writer.control_vector", Target::WriterControlVector),
    ("reader.control_vector", Target::ReaderControlVector),
    ("writer.rotation", Target::WriterRotation),
    ("reader.rotation", Target::ReaderRotation),
    ("writer.release", Target::WriterRelease),
    ("reader.release", Target::ReaderRelease),
    ("writer.subject", Target::WriterSubject),
    ("reader.subject", Target::ReaderSubject),
    ("container", Target::Container),
    ("writer.layouts", Target::WriterLayouts),
    ("reader.layouts", Target::ReaderLayouts),
];

impl Target {
    /// Every name that an axis may set.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let settings = SETTINGS.iter().flat_map(|(writer, reader, _)| [*writer, *reader]);
        WHOLES.iter().map(|(name, _)| *name).chain(settings).collect()
    }

    /// The target of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let whole = WHOLES.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
        whole.or_else(|| {
            SETTINGS.iter().find_map(|(writer, reader, setting)| match name {
                _ if name == *writer => Some(Self::Writer(*setting)),
                _ if name == *reader => Some(Self::Reader(*setting)),
                _ => None,
            })
        })
    }
}

impl Target {
    fn is_readers(self) -> bool {
        matches!(
            self,
            Self::Reader(_)
                | Self::ReaderPreset
                | Self::ReaderAdapter
                | Self::ReaderControlVector
                | Self::ReaderRotation
                | Self::ReaderRelease
                | Self::ReaderSubject
                | Self::ReaderLayouts
        )
    }

    fn has_side(self) -> bool {
        self.is_readers()
            || matches!(
                self,
                Self::Writer(_)
                    | Self::WriterPreset
                    | Self::WriterAdapter
                    | Self::WriterControlVector
                    | Self::WriterRotation
            )
    }
}

/// The value of a preset or an adapter axis that means none.
pub const NONE: &str = "none";

fn some(value: &str) -> Option<String> {
    (value != NONE).then(|| value.to_owned())
}

impl Recipe {
    /// The recipe of a cell with these dimensions.
    ///
    /// # Errors
    /// A value that its axis cannot have; a checked configuration has none.
    pub fn of(dims: &Dims, config: &Config) -> Result<Self, String> {
        let mut recipe = Self::default();
        for on_reader in [false, true] {
            if on_reader {
                // How the reader samples by itself is not what was saved: that must come from the file.
                recipe.reader = recipe.writer.sampling_as(&Place::default());
            }
            for axis in &config.axes {
                let Some(value) = dims.get(&axis.name).filter(|value| *value != INAPPLICABLE) else {
                    continue;
                };
                for target in axis.sets.iter().filter_map(|name| Target::from_name(name.get_ref())) {
                    if target.is_readers() == on_reader {
                        recipe.set(target, value, config)?;
                    }
                }
            }
        }
        Ok(recipe)
    }

    /// Sets one thing.
    ///
    /// # Errors
    /// Why it cannot have this value.
    pub fn set(&mut self, target: Target, value: &str, config: &Config) -> Result<(), String> {
        match target {
            Target::Model => value.clone_into(&mut self.model),
            Target::ReaderModel if value == SAME => {}
            Target::ReaderModel => self.reader_model = Some(value.to_owned()),
            _ if value == SAME && target.has_side() => {}
            Target::Writer(setting) => set(&mut self.writer.settings, setting, value)?,
            Target::Reader(setting) => set(&mut self.reader.settings, setting, value)?,
            Target::WriterPreset => self.writer.preset = some(value),
            Target::ReaderPreset => self.reader.preset = some(value),
            Target::WriterAdapter => self.writer.adapter = some(value),
            Target::ReaderAdapter => self.reader.adapter = some(value),
            Target::WriterControlVector => self.writer.control_vector = some(value),
            Target::ReaderControlVector => self.reader.control_vector = some(value),
            Target::WriterRotation => self.writer.unrotated = !named(value, &SWITCH)?,
            Target::ReaderRotation => self.reader.unrotated = !named(value, &SWITCH)?,
            Target::Session => self.session = named(value, &SessionForm::NAMES)?,
            Target::Sampling => {
                let known = || config.samplings.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let sampling = config.samplings.get(value);
                let sampling = sampling
                    .ok_or_else(|| format!("there is no sampling `{value}`; there are {}", known()))?;
                self.writer.settings.sampling =
                    Some(sampling.clone()).filter(|given| *given != Sampling::default());
            }
            Target::Format => self.format = Some(value.to_owned()),
            Target::ReaderFormat => self.reader_format = Some(value.to_owned()),
            Target::Policy => {
                let known = || config.policies.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let policy = config.policies.get(value);
                let policy =
                    policy.ok_or_else(|| format!("there is no policy `{value}`; there are {}", known()))?;
                self.routes.clone_from(&policy.routes);
            }
            Target::Parameters => {
                self.parameters = named(value, &PARAMETERS)?;
            }
            Target::Operation => self.operation = named(value, &LoadOperation::NAMES)?,
            Target::Fault if value == NO_FAULT => self.fault = None,
            Target::Fault => self.fault = Some(Fault::from_name(value)?),
            Target::Scenario => self.scenario = named(value, &Scenario::NAMES)?,
            Target::WriterRelease => self.writer.release = Some(value.to_owned()),
            Target::ReaderRelease => self.reader.release = Some(value.to_owned()),
            Target::WriterSubject => self.writer.subject = Some(value.to_owned()),
            Target::ReaderSubject => self.reader.subject = Some(value.to_owned()),
            Target::Container => {
                let container = Some(value.to_owned());
                self.writer.container.clone_from(&container);
                self.reader.container = container;
            }
            Target::WriterLayouts => self.writer.forgets_layouts = !named(value, &LAYOUTS)?,
            Target::ReaderLayouts => self.reader.forgets_layouts = !named(value, &LAYOUTS)?,
        }
        Ok(())
    }
}

/// The value of a fault axis that means none.
pub const NO_FAULT: &str = "none";

const PARAMETERS: [(&str, ParameterSource); 3] = [
    ("saved", ParameterSource::Saved),
    ("preset", ParameterSource::Preset),
    ("defaults", ParameterSource::Defaults),
];
const FLASH_ATTENTION: [(&str, FlashAttention); 3] =
    [("auto", FlashAttention::Auto), ("on", FlashAttention::On), ("off", FlashAttention::Off)];
const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];
const LAYOUTS: [(&str, bool); 2] = [("known", true), ("forgotten", false)];

fn set(settings: &mut Settings, setting: Setting, value: &str) -> Result<(), String> {
    match setting {
        Setting::NCtx => settings.n_ctx = Some(number(value)?),
        Setting::NBatch => settings.n_batch = Some(number(value)?),
        Setting::NUbatch => settings.n_ubatch = Some(number(value)?),
        Setting::NSeqMax => settings.n_seq_max = Some(number(value)?),
        Setting::Threads => settings.threads = Some(number(value)?),
        Setting::TypeK => settings.type_k = Some(value.to_owned()),
        Setting::TypeV => settings.type_v = Some(value.to_owned()),
        Setting::FlashAttention => settings.flash_attention = Some(named(value, &FLASH_ATTENTION)?),
        Setting::KvUnified => settings.kv_unified = Some(named(value, &SWITCH)?),
        Setting::SwaFull => settings.swa_full = Some(named(value, &SWITCH)?),
        Setting::RopeFreqBase => settings.rope_freq_base = Some(number(value)?),
        Setting::RopeFreqScale => settings.rope_freq_scale = Some(number(value)?),
        Setting::YarnExtFactor => settings.yarn_ext_factor = Some(number(value)?),
        Setting::Fragmented => settings.fragmented = named(value, &SWITCH)?,
    }
    Ok(())
}

fn number<T: FromStr<Err: Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("`{value}` is not a number that fits: {error}"))
}

fn named<T: Copy>(value: &str, known: &[(&str, T)]) -> Result<T, String> {
    known.iter().find(|(name, _)| *name == value).map(|(_, known)| *known).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("`{value}` is not one of {}", names.join(", "))
    })
}
