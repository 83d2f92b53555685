//! The passport of what is in force here.

use intact_format::identity::ModelIdentity;
use intact_format::kv_type::KvType;
use intact_format::parameters::{ContextParameters, RopeScalingType};
use intact_format::passport::{CacheSettings, Machine, Passport, RopeSettings};
use intact_format::version::FormatVersion;
use jiff::Timestamp;

use crate::llama::{self, Context, Model};
use crate::probe::Probe;
use crate::session::Memory;

/// Version of the engine, as passports and manifests name it.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// llama.cpp's own defaults where neither parameters nor model say anything.
const ROPE_BASE: f32 = 10_000.0;
const YARN_BETA_FAST: f32 = 32.0;
const YARN_BETA_SLOW: f32 = 1.0;

/// Describes a context: effective values, not what was asked for.
pub(crate) fn of(
    context: &Context,
    probe: &Probe,
    memory: Memory,
    parameters: &ContextParameters,
    identity: &ModelIdentity,
    preset: Option<&str>,
) -> Passport {
    Passport {
        engine: ENGINE_VERSION.to_owned(),
        format: FormatVersion::OF_TEXT,
        release: llama::release().release.to_string(),
        layout: probe.understood().map(|understood| understood.layout.id.to_owned()),
        model: identity.clone(),
        cache: cache(context, probe, memory, parameters),
        rope: rope(context.model(), parameters),
        adapters: Vec::new(),
        preset: preset.map(str::to_owned),
        machine: machine(context, probe, parameters),
        saved_at: now(),
        migrations: Vec::new(),
    }
}

/// The time, to the second: what a manifest shows.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn cache(context: &Context, probe: &Probe, memory: Memory, parameters: &ContextParameters) -> CacheSettings {
    let sections = probe.understood().map(|understood| understood.sections.as_slice()).unwrap_or_default();
    let rotation = sections.iter().find_map(|section| section.rotation).unwrap_or_default();
    let sequences = parameters.n_seq_max.unwrap_or(1).max(1);
    let unified = parameters.kv_unified.unwrap_or(false);
    let streams = if unified { 1 } else { sequences };
    CacheSettings {
        type_k: parameters.type_k.unwrap_or(KvType::F16),
        type_v: parameters.type_v.unwrap_or(KvType::F16),
        v_transposed: sections.iter().any(|section| section.transposed),
        rotation_k: rotation.keys,
        rotation_v: rotation.values,
        unified,
        streams: probe.understood().map_or(streams, |understood| understood.streams.count),
        n_seq_max: sequences,
        n_ctx: context.n_ctx(),
        swa_full: memory.window.map(|_| parameters.swa_full.unwrap_or(true)),
    }
}

fn rope(model: &Model, parameters: &ContextParameters) -> RopeSettings {
    let architecture = model.architecture();
    let text = |key: &str| model.metadata(&format!("{architecture}.rope.{key}"));
    let number = |key: &str| text(key).and_then(|text| text.parse::<f32>().ok());
    let given = |value: Option<f32>| value.filter(|&value| value != 0.0);
    let scaling = parameters.rope_scaling_type.filter(|&kind| kind != RopeScalingType::Unspecified);
    let scaling = scaling.unwrap_or_else(|| match text("scaling.type").as_deref() {
        Some("linear") => RopeScalingType::Linear,
        Some("yarn") => RopeScalingType::Yarn,
        Some("longrope") => RopeScalingType::LongRope,
        _ => RopeScalingType::None,
    });
    let factor = number("scaling.factor").or_else(|| number("scale_linear")).filter(|&factor| factor > 0.0);
    let extrapolation = if scaling == RopeScalingType::Yarn { 1.0 } else { 0.0 };
    RopeSettings {
        scaling,
        base: given(parameters.rope_freq_base).or_else(|| number("freq_base")).unwrap_or(ROPE_BASE),
        scale: given(parameters.rope_freq_scale).or(factor.map(|factor| 1.0 / factor)).unwrap_or(1.0),
        yarn_ext_factor: parameters.yarn_ext_factor.filter(|&factor| factor >= 0.0).unwrap_or(extrapolation),
        yarn_attn_factor: parameters
            .yarn_attn_factor
            .filter(|&factor| factor >= 0.0)
            .or_else(|| number("scaling.attn_factor"))
            .unwrap_or(1.0),
        yarn_beta_fast: parameters.yarn_beta_fast.filter(|&beta| beta >= 0.0).unwrap_or(YARN_BETA_FAST),
        yarn_beta_slow: parameters.yarn_beta_slow.filter(|&beta| beta >= 0.0).unwrap_or(YARN_BETA_SLOW),
        yarn_orig_ctx: parameters
            .yarn_orig_ctx
            .filter(|&length| length > 0)
            .or_else(|| text("scaling.original_context_length").and_then(|text| text.parse().ok()))
            .unwrap_or_else(|| model.n_ctx_train()),
    }
}

fn machine(context: &Context, probe: &Probe, parameters: &ContextParameters) -> Machine {
    let transposed = probe.understood().map(|found| found.sections.iter().any(|section| section.transposed));
    let asked =
        parameters.flash_attention_mode != Some(intact_format::parameters::FlashAttentionMode::Disabled);
    Machine {
        backend: context.model().backend().to_owned(),
        cpu_features: cpu_features(),
        threads: context.threads(),
        flash_attention: transposed.map_or(asked, |transposed| !transposed),
    }
}

/// The instruction sets in llama.cpp's own line, such as `CPU : SSE3 = 1 | AVX = 1 | ...`, sorted.
fn cpu_features() -> Vec<String> {
    let line = llama::cpu_features();
    let mut features: Vec<String> = line
        .split(['|', ':'])
        .filter_map(|part| part.trim().split_once(" = "))
        .filter(|(_, value)| value.trim() == "1")
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    features.sort();
    features.dedup();
    features
}
