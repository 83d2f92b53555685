//! Recipes: what a cell does, made from its values by what its axes set.

mod place;
mod target;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use intact_protocol::{FlashAttention, ParameterSource, Sampling, Settings};

use crate::Dims;
use crate::axes::{AxisConfig, Policy};
use crate::fault::Fault;
use crate::filter::compare_versions;
pub use place::{LoadOperation, Place, Scenario, SessionForm};
pub use target::{Setting, Target};

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
    /// The subject knows nothing of parameters: the axis that says where they come from means nothing to it.
    pub without_parameters: bool,
    /// What the reader is asked to do with the files.
    pub operation: LoadOperation,
    /// What happens to the files between save and load.
    pub fault: Option<Fault>,
    /// What is played.
    pub scenario: Scenario,
    /// What the session is when it is saved.
    pub session: SessionForm,
}

/// The first format version that keeps parameters.
const FIRST_WITH_PARAMETERS: &str = "2";

/// The value of a preset or an adapter axis that means none.
pub const NONE: &str = "none";

fn some(value: &str) -> Option<String> {
    (value != NONE).then(|| value.to_owned())
}

/// What the values of axes may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    /// Ways to sample.
    pub samplings: &'a BTreeMap<String, Sampling>,
    /// Load policies.
    pub policies: &'a BTreeMap<String, Policy>,
}

impl Recipe {
    /// The recipe of a cell with these dimensions.
    ///
    /// # Errors
    /// A value that its axis cannot have; a checked configuration has none.
    pub(crate) fn of(dims: &Dims, axes: &[AxisConfig], names: Names<'_>) -> Result<Self, String> {
        let mut recipe = Self::default();
        for on_reader in [false, true] {
            if on_reader {
                // How the reader samples by itself is not what was saved: that must come from the file.
                recipe.reader = recipe.writer.sampling_as(&Place::default());
            }
            for axis in axes {
                let Some(value) = dims.get(&axis.name) else { continue };
                let mut targets = axis.sets.iter().filter_map(|name| Target::from_name(name.get_ref()));
                if value == INAPPLICABLE {
                    recipe.without_parameters |= targets.any(|target| target == Target::Parameters);
                    continue;
                }
                for target in targets {
                    if target.is_readers() == on_reader {
                        recipe.set(target, value, names)?;
                    }
                }
            }
        }
        Ok(recipe)
    }

    /// Whether the parameters of the saved session are in the file, and asked for. A state that is adopted has none, and
    /// neither has a session of the first format.
    #[must_use]
    pub fn keeps_parameters(&self) -> bool {
        let has_them =
            |format: &str| compare_versions(format, FIRST_WITH_PARAMETERS).is_none_or(Ordering::is_ge);
        !self.without_parameters
            && self.parameters == ParameterSource::Saved
            && self.operation == LoadOperation::Load
            && self.format.as_deref().is_none_or(has_them)
    }

    /// Sets one thing.
    ///
    /// # Errors
    /// Why it cannot have this value.
    pub(crate) fn set(&mut self, target: Target, value: &str, names: Names<'_>) -> Result<(), String> {
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
                let known = || names.samplings.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let sampling = names.samplings.get(value);
                let sampling = sampling
                    .ok_or_else(|| format!("there is no sampling `{value}`; there are {}", known()))?;
                self.writer.settings.sampling =
                    Some(sampling.clone()).filter(|given| *given != Sampling::default());
            }
            Target::Format => self.format = Some(value.to_owned()),
            Target::ReaderFormat => self.reader_format = Some(value.to_owned()),
            Target::Policy => {
                let known = || names.policies.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let policy = names.policies.get(value);
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
            Target::WriterBackend => self.writer.backend = backend(value),
            Target::ReaderBackend => self.reader.backend = backend(value),
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

/// The value of a backend axis that means: the one that releases are compared on.
const DEFAULT: &str = "default";

fn backend(value: &str) -> Option<String> {
    (value != DEFAULT).then(|| value.to_owned())
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
        Setting::NCtx => settings.n_ctx = Some(count(value, LEAST_CONTEXT)?),
        Setting::NBatch => settings.n_batch = Some(count(value, 1)?),
        Setting::NUbatch => settings.n_ubatch = Some(count(value, 1)?),
        Setting::NSeqMax => settings.n_seq_max = Some(count(value, 1)?),
        Setting::Threads => settings.threads = Some(count(value, 1)?),
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

/// Tokens that a context has at least: a session of intact has a token before the one that is being evaluated.
pub const LEAST_CONTEXT: u32 = 2;

fn count(value: &str, least: u32) -> Result<u32, String> {
    let count = number(value)?;
    if count >= least {
        Ok(count)
    } else {
        Err(format!("`{value}` is too small: it must be at least {least}"))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_compared_as_versions_and_not_as_text() {
        for (format, keeps) in [
            (None, true),
            (Some("1.0"), false),
            (Some("1.9"), false),
            (Some("2.0"), true),
            (Some("10.0"), true),
        ] {
            let recipe = Recipe { format: format.map(str::to_owned), ..Recipe::default() };
            assert_eq!(recipe.keeps_parameters(), keeps, "{format:?}");
        }
        let without = Recipe { without_parameters: true, ..Recipe::default() };
        assert!(!without.keeps_parameters());
    }
}
