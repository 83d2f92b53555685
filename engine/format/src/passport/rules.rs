//! The table of axes: what each is, what follows where it differs, and why. The only place where that is decided.

use std::iter;

use super::axis::Axis;
use super::compare::Consequence::{self, Harmless, Replay, Reprefill, Transcode};
use super::{Adapter, AdapterKind, Migration, Passport};
use crate::canary::CanaryRule::{self, Exact, Floor, Lossy, Reported};
use crate::kv_type::KvType;
use crate::route::RefusalCode;
use crate::transcode::{laid_out, lie_alike, requantized, rotates_between, types_convert};

/// One row.
pub(super) struct Rule {
    pub(super) axis: Axis,
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    /// The value as text, given the passport whose value it is and the other one. Equal text means an equal value.
    pub(super) value: fn(&Passport, &Passport) -> String,
    pub(super) differs: Effect,
    /// How close the canary can be where this axis differs.
    pub(super) canary: fn(&Passport, &Passport) -> CanaryRule,
    /// The code of a refusal that this axis is to blame for.
    pub(super) code: RefusalCode,
}

/// What follows from a difference, and why.
pub(super) enum Effect {
    /// Always the same.
    Always(Consequence, &'static str),
    /// The first where the condition holds between both sides, else the second.
    Where(fn(&Passport, &Passport) -> bool, (Consequence, &'static str), (Consequence, &'static str)),
}

use Effect::{Always, Where};

impl Effect {
    /// Everything that can follow.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Consequence, &'static str)> {
        let (first, second) = match self {
            Always(consequence, reason) => ((*consequence, *reason), None),
            Where(_, outcome, otherwise) => (*outcome, Some(*otherwise)),
        };
        iter::once(first).chain(second)
    }
}

impl Rule {
    pub(super) fn outcome(&self, saved: &Passport, here: &Passport) -> (Consequence, &'static str) {
        match self.differs {
            Always(consequence, reason) => (consequence, reason),
            Where(holds, outcome, _) if holds(saved, here) => outcome,
            Where(_, _, otherwise) => otherwise,
        }
    }
}

/// Whether both sides know their layout.
fn understood(saved: &Passport, here: &Passport) -> bool {
    saved.layout.is_some() && here.layout.is_some()
}

const BY_CONTENT: &str = "only a name: the content of the model file decides";
const NAMES_ONLY: &str = "the session file does not depend on it";
const LAST_BITS: &str = "the KV means the same; logits may differ in their last bits";
const OTHER_MODEL: &str = "KV computed by one model means nothing to another";
const OTHER_POSITIONS: &str = "positions are written into K with it";
const CONVERTED: &str =
    "the saved KV is converted to the type of the cache here, a declared loss where that type holds less";
const OTHER_TYPE: &str = "there is no conversion from the saved KV to the type of the cache here";
const ROTATED: &str =
    "the saved KV is stored in another basis; it is rotated into the one here and rounded to its type again";
const OTHER_ROTATION: &str = "the saved KV is stored in another basis, which would be read as garbage";
const OTHER_WINDOW: &str = "the layers with a sliding window keep the whole context on one side and only their window on the \
                            other: cells may be missing here, or find no room";
const ANY_ROOM: &str = "an image holds the cells of one sequence, which fit any cache with room for them";

/// Every axis, in the order of [`Axis`] and of reports. Where several are equally grave, the first gives a refusal its code.
pub(super) static RULES: [Rule; 36] = [
    Rule {
        axis: Axis::Engine,
        name: "engine",
        meaning: "version of the engine",
        value: |mine, _| mine.engine.clone(),
        differs: Always(Harmless, NAMES_ONLY),
        canary: |_, _| Exact,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::Format,
        name: "format",
        meaning: "format version of the session file",
        value: |mine, _| mine.format.to_string(),
        differs: Always(Harmless, "older formats are migrated when they are read"),
        canary: |_, _| Exact,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::Release,
        name: "release",
        meaning: "llama.cpp release",
        value: |mine, _| mine.release.clone(),
        differs: Where(
            understood,
            (
                Harmless,
                "the layouts of both releases are known and compared on their own; logits may differ in their last bits",
            ),
            (Reprefill, "how one of the releases lays out its state is not known"),
        ),
        canary: |_, _| Floor,
        code: RefusalCode::ReleaseDiffers,
    },
    Rule {
        axis: Axis::Layout,
        name: "layout",
        meaning: "how the release lays out its state",
        value: |mine, _| laid_out(mine),
        differs: Where(
            |saved, here| understood(saved, here) && lie_alike(saved, here),
            (Transcode, "both layouts are known"),
            (
                Reprefill,
                "one of the layouts is not known, or the matrices of gated delta nets lie the other way round in one of them, which \
                 nothing in the state says",
            ),
        ),
        canary: |_, _| Floor,
        code: RefusalCode::LayoutDiffers,
    },
    Rule {
        axis: Axis::ModelRepository,
        name: "model-repository",
        meaning: "repository that the model came from",
        value: |mine, _| or_unknown(mine.model.repository.as_deref()),
        differs: Always(Harmless, BY_CONTENT),
        canary: |_, _| Exact,
        code: RefusalCode::ModelDiffers,
    },
    Rule {
        axis: Axis::ModelRevision,
        name: "model-revision",
        meaning: "commit of that repository",
        value: |mine, _| or_unknown(mine.model.revision.as_deref()),
        differs: Always(Harmless, BY_CONTENT),
        canary: |_, _| Exact,
        code: RefusalCode::ModelDiffers,
    },
    Rule {
        axis: Axis::ModelFile,
        name: "model-file",
        meaning: "name of the model file",
        value: |mine, _| mine.model.file.clone(),
        differs: Always(Harmless, BY_CONTENT),
        canary: |_, _| Exact,
        code: RefusalCode::ModelDiffers,
    },
    Rule {
        axis: Axis::Architecture,
        name: "architecture",
        meaning: "architecture of the model",
        value: |mine, _| mine.model.architecture.clone(),
        differs: Always(Reprefill, OTHER_MODEL),
        canary: |_, _| Reported,
        code: RefusalCode::ModelDiffers,
    },
    Rule {
        axis: Axis::ModelShape,
        name: "model-shape",
        meaning: "metadata that shapes the KV: layers, heads, head sizes, RoPE, window",
        value: shape,
        differs: Always(Reprefill, OTHER_MODEL),
        canary: |_, _| Reported,
        code: RefusalCode::ModelDiffers,
    },
    Rule {
        axis: Axis::ModelContent,
        name: "model-content",
        meaning: "SHA-256 of the model file",
        value: |mine, _| mine.model.sha256.clone(),
        differs: Always(
            Reprefill,
            "the weights are others: KV that they did not compute would be read as garbage",
        ),
        canary: |_, _| Reported,
        code: RefusalCode::WeightsDiffer,
    },
    Rule {
        axis: Axis::ModelSize,
        name: "model-size",
        meaning: "length of the model file in bytes",
        value: |mine, _| mine.model.size.to_string(),
        differs: Always(Harmless, BY_CONTENT),
        canary: |_, _| Exact,
        code: RefusalCode::WeightsDiffer,
    },
    Rule {
        axis: Axis::Quantization,
        name: "quantization",
        meaning: "quantization of the weights",
        value: |mine, _| mine.model.quantization.clone(),
        differs: Always(Harmless, BY_CONTENT),
        canary: |_, _| Exact,
        code: RefusalCode::WeightsDiffer,
    },
    Rule {
        axis: Axis::Vocabulary,
        name: "vocabulary",
        meaning: "hash of everything that turns text into tokens",
        value: |mine, _| mine.model.vocabulary.clone(),
        differs: Always(Replay, "the saved token ids stand for other text here"),
        canary: |_, _| Reported,
        code: RefusalCode::TokenizerDiffers,
    },
    Rule {
        axis: Axis::ChatTemplate,
        name: "chat-template",
        meaning: "hash of the chat template",
        value: |mine, _| mine.model.chat_template.clone().unwrap_or_else(|| "none".to_owned()),
        differs: Always(Replay, "the saved tokens frame the messages in another way than new ones would be"),
        canary: |_, _| Reported,
        code: RefusalCode::ChatTemplateDiffers,
    },
    Rule {
        axis: Axis::KvTypeK,
        name: "kv-type-k",
        meaning: "type of K in the cache",
        value: |mine, _| mine.cache.type_k.to_string(),
        differs: Where(
            |saved, here| understood(saved, here) && types_convert(saved.cache.type_k, here.cache.type_k),
            (Transcode, CONVERTED),
            (Reprefill, OTHER_TYPE),
        ),
        canary: |saved, here| between_types(saved.cache.type_k, here.cache.type_k),
        code: RefusalCode::KvTypeDiffers,
    },
    Rule {
        axis: Axis::KvTypeV,
        name: "kv-type-v",
        meaning: "type of V in the cache",
        value: |mine, _| mine.cache.type_v.to_string(),
        differs: Where(
            |saved, here| understood(saved, here) && types_convert(saved.cache.type_v, here.cache.type_v),
            (Transcode, CONVERTED),
            (Reprefill, OTHER_TYPE),
        ),
        canary: |saved, here| between_types(saved.cache.type_v, here.cache.type_v),
        code: RefusalCode::KvTypeDiffers,
    },
    Rule {
        axis: Axis::VTransposed,
        name: "v-transposed",
        meaning: "whether V is stored transposed, as it is without flash attention",
        value: |mine, _| yes_no(mine.cache.v_transposed),
        differs: Always(Transcode, "the rows of V lie the other way round"),
        canary: |_, _| Floor,
        code: RefusalCode::LayoutDiffers,
    },
    Rule {
        axis: Axis::RotationK,
        name: "rotation-k",
        meaning: "size of the Hadamard rotation of K",
        value: |mine, _| rotation(mine.cache.rotation_k),
        differs: Where(
            |saved, here| {
                understood(saved, here) && rotates_between(saved.cache.rotation_k, here.cache.rotation_k)
            },
            (Transcode, ROTATED),
            (Reprefill, OTHER_ROTATION),
        ),
        canary: |saved, here| requantized(saved.cache.type_k).max(requantized(here.cache.type_k)),
        code: RefusalCode::RotationDiffers,
    },
    Rule {
        axis: Axis::RotationV,
        name: "rotation-v",
        meaning: "size of the Hadamard rotation of V",
        value: |mine, _| rotation(mine.cache.rotation_v),
        differs: Where(
            |saved, here| {
                understood(saved, here) && rotates_between(saved.cache.rotation_v, here.cache.rotation_v)
            },
            (Transcode, ROTATED),
            (Reprefill, OTHER_ROTATION),
        ),
        canary: |saved, here| requantized(saved.cache.type_v).max(requantized(here.cache.type_v)),
        code: RefusalCode::RotationDiffers,
    },
    Rule {
        axis: Axis::KvUnified,
        name: "kv-unified",
        meaning: "whether all sequences share one cache",
        value: |mine, _| yes_no(mine.cache.unified),
        differs: Always(Harmless, ANY_ROOM),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::Streams,
        name: "streams",
        meaning: "streams of the cache",
        value: |mine, _| mine.cache.streams.to_string(),
        differs: Always(Harmless, ANY_ROOM),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::SequencesMax,
        name: "sequences-max",
        meaning: "sequences that the context has room for",
        value: |mine, _| mine.cache.n_seq_max.to_string(),
        differs: Always(Harmless, ANY_ROOM),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::ContextLength,
        name: "context-length",
        meaning: "context length of one sequence in tokens",
        value: |mine, _| mine.cache.n_ctx.to_string(),
        differs: Always(
            Harmless,
            "the session fits as long as it is not longer than the context here, which is checked",
        ),
        canary: |_, _| Floor,
        code: RefusalCode::ContextTooSmall,
    },
    Rule {
        axis: Axis::SlidingWindowFull,
        name: "sliding-window-full",
        meaning: "whether sliding-window caches keep the whole context",
        value: |mine, _| mine.cache.swa_full.map_or_else(|| "no window".to_owned(), yes_no),
        differs: Always(Reprefill, OTHER_WINDOW),
        canary: |_, _| Floor,
        code: RefusalCode::SlidingWindowDiffers,
    },
    Rule {
        axis: Axis::RopeScaling,
        name: "rope-scaling",
        meaning: "how RoPE is stretched",
        value: |mine, _| mine.rope.scaling.name().to_owned(),
        differs: Always(Reprefill, OTHER_POSITIONS),
        canary: |_, _| Reported,
        code: RefusalCode::RopeDiffers,
    },
    Rule {
        axis: Axis::RopeBase,
        name: "rope-base",
        meaning: "RoPE base frequency",
        value: |mine, _| mine.rope.base.to_string(),
        differs: Always(Reprefill, OTHER_POSITIONS),
        canary: |_, _| Reported,
        code: RefusalCode::RopeDiffers,
    },
    Rule {
        axis: Axis::RopeScale,
        name: "rope-scale",
        meaning: "RoPE frequency scale",
        value: |mine, _| mine.rope.scale.to_string(),
        differs: Always(Reprefill, OTHER_POSITIONS),
        canary: |_, _| Reported,
        code: RefusalCode::RopeDiffers,
    },
    Rule {
        axis: Axis::Yarn,
        name: "yarn",
        meaning: "YaRN factors: extrapolation, attention, fast, slow, trained context",
        value: yarn,
        differs: Always(Reprefill, OTHER_POSITIONS),
        canary: |_, _| Reported,
        code: RefusalCode::RopeDiffers,
    },
    Rule {
        axis: Axis::Adapters,
        name: "adapters",
        meaning: "LoRA adapters and control vectors, with their scales",
        value: |mine, _| adapters(&mine.adapters),
        differs: Always(Reprefill, "the saved KV was computed with other adapters"),
        canary: |_, _| Reported,
        code: RefusalCode::AdaptersDiffer,
    },
    Rule {
        axis: Axis::Preset,
        name: "preset",
        meaning: "preset that the session was created from",
        value: |mine, _| mine.preset.clone().unwrap_or_else(|| "none".to_owned()),
        differs: Always(
            Harmless,
            "a preset only chooses parameters; those that change the KV are compared on their own",
        ),
        canary: |_, _| Exact,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::Backend,
        name: "backend",
        meaning: "ggml backend",
        value: |mine, _| mine.machine.backend.clone(),
        differs: Always(Harmless, LAST_BITS),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::CpuFeatures,
        name: "cpu-features",
        meaning: "instruction sets in use",
        value: |mine, _| mine.machine.cpu_features.join(" "),
        differs: Always(Harmless, LAST_BITS),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::Threads,
        name: "threads",
        meaning: "threads that evaluate single tokens",
        value: |mine, _| mine.machine.threads.to_string(),
        differs: Always(Harmless, LAST_BITS),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::FlashAttention,
        name: "flash-attention",
        meaning: "whether flash attention is used",
        value: |mine, _| yes_no(mine.machine.flash_attention),
        differs: Always(Harmless, "how V lies is compared on its own; logits may differ in their last bits"),
        canary: |_, _| Floor,
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::Migrations,
        name: "migrations",
        meaning: "releases that the file was rewritten for since it was saved",
        value: |mine, _| migrations(&mine.migrations),
        differs: Always(Harmless, "the canary is what the model said in the release that saved the session"),
        canary: |saved, here| {
            let rules = saved.migrations.iter().chain(&here.migrations).map(|migration| migration.canary);
            rules.max().unwrap_or(Exact)
        },
        code: RefusalCode::PolicyForbids,
    },
    Rule {
        axis: Axis::SavedAt,
        name: "saved-at",
        meaning: "when the session was saved, and when it is loaded",
        value: |mine, _| mine.saved_at.to_string(),
        differs: Always(Harmless, "sessions do not age"),
        canary: |_, _| Exact,
        code: RefusalCode::PolicyForbids,
    },
];

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn or_unknown(value: Option<&str>) -> String {
    value.unwrap_or("unknown").to_owned()
}

fn rotation(size: u32) -> String {
    if size == 0 { "none".to_owned() } else { size.to_string() }
}

/// The keys on which the two differ, which tells more than two fingerprints would.
fn shape(mine: &Passport, other: &Passport) -> String {
    let differences = mine.model.shape.differences(&other.model.shape);
    if differences.is_empty() {
        return mine.model.shape.fingerprint();
    }
    let listed = differences.iter().map(|(key, value, _)| format!("{key}={}", value.unwrap_or("absent")));
    listed.collect::<Vec<_>>().join(" ")
}

fn yarn(mine: &Passport, _: &Passport) -> String {
    let rope = &mine.rope;
    format!(
        "{} {} {} {} {}",
        rope.yarn_ext_factor,
        rope.yarn_attn_factor,
        rope.yarn_beta_fast,
        rope.yarn_beta_slow,
        rope.yarn_orig_ctx
    )
}

/// Half floats keep what matters of 32-bit floats; every other pair of types loses something one way.
fn between_types(left: KvType, right: KvType) -> CanaryRule {
    let precise = |kind| matches!(kind, KvType::F32 | KvType::F16);
    if precise(left) && precise(right) { Floor } else { Lossy }
}

fn migrations(migrations: &[Migration]) -> String {
    if migrations.is_empty() {
        return "none".to_owned();
    }
    let listed = migrations.iter().map(|migration| format!("{} to {}", migration.from, migration.to));
    listed.collect::<Vec<_>>().join(", ")
}

fn adapters(adapters: &[Adapter]) -> String {
    if adapters.is_empty() {
        return "none".to_owned();
    }
    let listed = adapters.iter().map(|adapter| {
        let kind = match adapter.kind {
            AdapterKind::Lora => "lora",
            AdapterKind::ControlVector => "control-vector",
        };
        format!("{kind} {}×{}", adapter.sha256, adapter.scale)
    });
    listed.collect::<Vec<_>>().join(", ")
}
