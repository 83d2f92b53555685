//! What it takes to bring the KV of one passport into the form of another.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canary::CanaryRule;
use crate::kv_type::KvType;
use crate::layout::{DeltaOrder, Layout};
use crate::passport::{Axis, CacheSettings, Passport};

/// What a step costs, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Every number stays what it is.
    None,
    /// Numbers are rounded to the type that they had.
    Rounding,
    /// Numbers are rounded to a type that holds less.
    Declared,
}

/// One thing that is done to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The axis that it settles.
    pub axis: Axis,
    /// What is saved.
    pub saved: String,
    /// What is wanted.
    pub here: String,
    /// What it costs.
    pub loss: Loss,
}

/// Everything that is done to an image, in the order of the axes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Steps(pub Vec<Step>);

/// Why an image cannot be brought into a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{axis}: {saved} cannot become {here}: {reason}")]
pub struct Unrepresentable {
    /// The axis to blame.
    pub axis: Axis,
    /// What is saved.
    pub saved: String,
    /// What is wanted.
    pub here: String,
    /// Why not.
    pub reason: &'static str,
}

/// The steps from the KV of `saved` to the form that a context of `here` stores. None where nothing about the form differs;
/// whether the KV *means* the same there is for the passports' comparison to say.
///
/// # Errors
/// [`Unrepresentable`] for the first axis that has no step.
pub fn plan(saved: &Passport, here: &Passport) -> Result<Steps, Unrepresentable> {
    let mut steps = Vec::new();
    for Aspect { axis, value, step } in ASPECTS {
        let (from, to) = (value(saved), value(here));
        if from != to {
            match step(saved, here) {
                Ok(loss) => steps.push(Step { axis, saved: from, here: to, loss }),
                Err(reason) => return Err(Unrepresentable { axis, saved: from, here: to, reason }),
            }
        }
    }
    Ok(Steps(steps))
}

/// One aspect of a form: its value as text, and what it costs to change it.
struct Aspect {
    axis: Axis,
    value: fn(&Passport) -> String,
    step: fn(&Passport, &Passport) -> Result<Loss, &'static str>,
}

const ASPECTS: [Aspect; 7] = [
    Aspect {
        axis: Axis::Layout,
        value: laid_out,
        step: |saved, here| {
            let known = |passport: &Passport| {
                passport.layout.as_deref().is_some_and(|id| Layout::by_id(id).is_some())
            };
            match (known(saved) && known(here), lie_alike(saved, here)) {
                (false, _) => Err("one of the layouts is not known"),
                (true, false) => {
                    Err("the matrices of its recurrent state lie the other way round, or may do so")
                }
                (true, true) => Ok(Loss::None),
            }
        },
    },
    Aspect {
        axis: Axis::KvTypeK,
        value: |mine| mine.cache.type_k.to_string(),
        step: |saved, here| type_step(saved.cache.type_k, here.cache.type_k),
    },
    Aspect {
        axis: Axis::KvTypeV,
        value: |mine| mine.cache.type_v.to_string(),
        step: |saved, here| type_step(saved.cache.type_v, here.cache.type_v),
    },
    Aspect {
        axis: Axis::VTransposed,
        value: |mine| if mine.cache.v_transposed { "by element" } else { "by cell" }.to_owned(),
        step: |saved, here| {
            let whole = |cache: &CacheSettings| cache.v_transposed && cache.type_v.is_quantized();
            let impossible = whole(&saved.cache) || whole(&here.cache);
            if impossible { Err("quantized values have no elements of their own") } else { Ok(Loss::None) }
        },
    },
    Aspect {
        axis: Axis::RotationK,
        value: |mine| size(mine.cache.rotation_k),
        step: |saved, here| rotation_step(saved.cache.rotation_k, here.cache.rotation_k),
    },
    Aspect {
        axis: Axis::RotationV,
        value: |mine| size(mine.cache.rotation_v),
        step: |saved, here| rotation_step(saved.cache.rotation_v, here.cache.rotation_v),
    },
    Aspect { axis: Axis::Streams, value: |mine| mine.cache.streams.to_string(), step: |_, _| Ok(Loss::None) },
];

/// How a state lies, in words: the layout, and where the model has gated delta nets, which way round their matrices are.
pub(crate) fn laid_out(mine: &Passport) -> String {
    let layout = mine.layout.as_deref().unwrap_or("unknown");
    match delta_order(mine) {
        None => layout.to_owned(),
        Some(Some(DeltaOrder::First)) => format!("{layout}, recurrent matrices as at first"),
        Some(Some(DeltaOrder::Turned)) => format!("{layout}, recurrent matrices turned"),
        Some(None) => format!("{layout}, recurrent matrices as {} has them", mine.release),
    }
}

/// Whether recurrent states lie the same way round, as far as that is known.
pub(crate) fn lie_alike(saved: &Passport, here: &Passport) -> bool {
    match (delta_order(saved), delta_order(here)) {
        (Some(None), Some(None)) => saved.release == here.release,
        (saved, here) => saved == here,
    }
}

/// Which way round the matrices of gated delta nets lie, if that is known; none where the model has no such nets.
fn delta_order(mine: &Passport) -> Option<Option<DeltaOrder>> {
    let order = || DeltaOrder::of_release(&mine.release, mine.layout.as_deref());
    DeltaOrder::matters_to(&mine.model.architecture).then(order)
}

fn size(rotation: u32) -> String {
    if rotation == 0 { "none".to_owned() } else { rotation.to_string() }
}

/// The types that can be converted.
const CONVERTIBLE: [KvType; 5] = [KvType::F32, KvType::F16, KvType::Bf16, KvType::Q8_0, KvType::Q4_0];

fn type_step(from: KvType, to: KvType) -> Result<Loss, &'static str> {
    match (from, to) {
        _ if !types_convert(from, to) => Err("only f32, f16, bf16, q8_0 and q4_0 are converted"),
        (_, KvType::F32) => Ok(Loss::None),
        _ => Ok(Loss::Declared),
    }
}

fn rotation_step(from: u32, to: u32) -> Result<Loss, &'static str> {
    if rotates_between(from, to) {
        Ok(Loss::Rounding)
    } else {
        Err("rotations have a power of two as their size")
    }
}

/// Whether there is a conversion between two types.
pub(crate) fn types_convert(from: KvType, to: KvType) -> bool {
    from == to || (CONVERTIBLE.contains(&from) && CONVERTIBLE.contains(&to))
}

/// Whether both sizes are of rotations that there are; 0 stands for none.
pub(crate) fn rotates_between(from: u32, to: u32) -> bool {
    [from, to].into_iter().all(|size| size == 0 || size.is_power_of_two())
}

impl Steps {
    /// The greatest loss of a step.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.0.iter().map(|step| step.loss).max().unwrap_or(Loss::None)
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How close a canary can be afterwards in a cache of these types, other kernels granted: requantizing costs what the
    /// coarser of the two types costs.
    #[must_use]
    pub fn canary_rule(&self, cache: &CacheSettings) -> CanaryRule {
        let rule = |step: &Step| match (step.loss, step.axis) {
            (Loss::None, _) => CanaryRule::Floor,
            (Loss::Rounding, Axis::RotationK) => requantized(cache.type_k),
            (Loss::Rounding, _) => requantized(cache.type_v),
            (Loss::Declared, _) => CanaryRule::Lossy,
        };
        self.0.iter().map(rule).max().unwrap_or(CanaryRule::Floor)
    }
}

/// How close a canary can be where numbers were rounded to `kind` once more.
pub(crate) fn requantized(kind: KvType) -> CanaryRule {
    match kind {
        KvType::F32 | KvType::F16 | KvType::Q8_0 => CanaryRule::Floor,
        _ => CanaryRule::Lossy,
    }
}

impl Loss {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rounding => "rounding",
            Self::Declared => "declared",
        }
    }
}

/// In words.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "exact",
            Self::Rounding => "rounded to the same type",
            Self::Declared => "a declared loss",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} to {}, {}", self.axis, self.saved, self.here, self.loss)
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.0.iter().map(Step::to_string).collect();
        f.write_str(&steps.join("; "))
    }
}
