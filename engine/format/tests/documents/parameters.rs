//! The parameter sets: the seed system's names and defaults, and parameters given in part.

use intact_format::parameters::{CacheCleanupStrategy, Parameters, ParametersOverlay, SamplerParameters};
use intact_format::preset::PresetDocument;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sample;

#[test]
fn the_defaults_are_the_seeds() {
    insta::assert_json_snapshot!(serde_json::to_value(Parameters::default()).unwrap());
}

#[test]
fn every_context_parameter_defaults_to_llama_cpps_own() {
    let parameters = serde_json::to_value(Parameters::default().context_parameters).unwrap();
    let fields = parameters.as_object().unwrap();
    assert_eq!(fields.len(), 26);
    assert!(fields.values().all(Value::is_null), "{fields:?}");
}

#[test]
fn a_forced_clean_up_and_an_overflow_have_different_defaults() {
    assert_eq!(CacheCleanupStrategy::FORCED_DEFAULT, CacheCleanupStrategy::KeepSystemPromptOnly);
    assert_eq!(CacheCleanupStrategy::default(), CacheCleanupStrategy::RemoveOldestMessages);
}

#[test]
fn a_preset_changes_the_fields_that_it_names_and_no_others() {
    let preset: PresetDocument = serde_json::from_value(json!({
        "extends": "Qwen25Preset",
        "parameters": {
            "SamplerParameters": { "Temperature": 0.1, "DrySequenceBreakers": [], "LogitBias": { "7": -1.5 } },
            "ContextParameters": { "TypeK": "q8_0", "ContextSize": null },
        },
    }))
    .unwrap();
    let mut base = Parameters::default();
    base.context_parameters.context_size = Some(512);
    base.sampler_parameters.logit_bias.insert(3.into(), 1.0);

    let mut expected = base.clone();
    expected.sampler_parameters.temperature = 0.1;
    expected.sampler_parameters.dry_sequence_breakers.clear();
    expected.sampler_parameters.logit_bias = [(7.into(), -1.5)].into();
    expected.context_parameters.type_k = Some(intact_format::kv_type::KvType::Q8_0);
    expected.context_parameters.context_size = None;
    assert_eq!(preset.parameters.apply(&base).unwrap(), expected);
}

#[test]
fn what_no_parameter_has_is_refused_by_name() {
    let refused = |parameters: Value| {
        let overlay: Result<ParametersOverlay, _> = serde_json::from_value(parameters);
        match overlay {
            Ok(overlay) => overlay.apply(&Parameters::default()).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    };
    assert!(refused(json!({ "SamplerParameters": { "Heat": 1 } })).contains("`Heat`"));
    assert!(refused(json!({ "Sampler": {} })).contains("`Sampler`"));
    assert!(refused(json!({ "ContextParameters": { "TypeK": "q9" } })).contains("q9"));
    assert!(refused(json!({ "SamplerParameters": { "Seed": -1 } })).contains("-1"));
}

#[test]
fn parameters_that_differ_have_different_digests() {
    let mut other = Parameters::default();
    assert_eq!(other.digest(), Parameters::default().digest());
    other.sampler_parameters.seed = 1;
    assert_ne!(other.digest(), Parameters::default().digest());
    assert_eq!(SamplerParameters::default().seed, SamplerParameters::RANDOM_SEED);
}

proptest! {
    #[test]
    fn the_difference_of_two_sets_makes_one_of_the_other(a in sample::sessions(), b in sample::sessions()) {
        let (a, b) = (a.parameters.unwrap_or_default(), b.parameters.unwrap_or_default());
        prop_assert_eq!(&ParametersOverlay::between(&a, &b).unwrap().apply(&a).unwrap(), &b);
        prop_assert_eq!(&ParametersOverlay::complete(&b).unwrap().apply(&a).unwrap(), &b);
        prop_assert_eq!(&ParametersOverlay::between(&a, &a).unwrap(), &ParametersOverlay::default());
    }
}
