use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::{Stage, greedy_plan, plan, reply_seed, session_seed};
use intact_format::parameters::SamplerParameters;

const SEED: u32 = 7;
const N_CTX: u32 = 2048;

fn defaults() -> SamplerParameters {
    SamplerParameters::default()
}

/// Everything off but the temperature.
fn bare() -> SamplerParameters {
    SamplerParameters {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        ..defaults()
    }
}

fn names(parameters: &SamplerParameters) -> Vec<&'static str> {
    plan(parameters, SEED, N_CTX).iter().map(name).collect()
}

fn name(stage: &Stage) -> &'static str {
    match stage {
        Stage::LogitBias(_) => "bias",
        Stage::Penalties { .. } => "penalties",
        Stage::Dry { .. } => "dry",
        Stage::TopNSigma(_) => "top-n-sigma",
        Stage::TopK(_) => "top-k",
        Stage::Typical { .. } => "typical",
        Stage::TopP { .. } => "top-p",
        Stage::MinP { .. } => "min-p",
        Stage::Xtc { .. } => "xtc",
        Stage::Temperature { .. } => "temperature",
        Stage::Mirostat { .. } => "mirostat",
        Stage::MirostatV2 { .. } => "mirostat-2",
        Stage::Distribution { .. } => "choice",
        Stage::Greedy => "greedy",
    }
}

fn all_on() -> SamplerParameters {
    SamplerParameters {
        typical_p: 0.9,
        top_n_sigma: 1.0,
        xtc_probability: 0.5,
        xtc_threshold: 0.1,
        dry_multiplier: 0.8,
        dry_penalty_last_n: -1,
        logit_bias: BTreeMap::from([(3.into(), -1.0)]),
        ..defaults()
    }
}

#[test]
fn everything_at_once_comes_in_the_order_of_llama_cpp() {
    assert_eq!(
        names(&all_on()),
        [
            "bias",
            "penalties",
            "dry",
            "top-n-sigma",
            "top-k",
            "typical",
            "top-p",
            "min-p",
            "xtc",
            "temperature",
            "choice"
        ]
    );
}

#[test]
fn the_defaults_use_penalties_three_filters_and_the_temperature() {
    let expected = [
        Stage::Penalties { last_n: 2048, repeat: 1.1, frequency: 0.0, presence: 0.0 },
        Stage::TopK(40),
        Stage::TopP { p: 0.9, min_keep: 1 },
        Stage::MinP { p: 0.05, min_keep: 1 },
        Stage::Temperature { temperature: 0.7, range: 0.0, exponent: 1.0 },
        Stage::Distribution { seed: SEED },
    ];
    assert_eq!(plan(&defaults(), SEED, N_CTX), expected);
}

#[test]
fn each_parameter_switches_one_sampler_on_and_its_off_values_switch_it_off() {
    type Change = fn(&mut SamplerParameters);
    let table: [(&str, Change, &[Change]); 10] = [
        ("bias", |p| p.logit_bias = BTreeMap::from([(1.into(), 1.0)]), &[|p| p.logit_bias.clear()]),
        (
            "penalties",
            |p| p.repetition_penalty = 1.2,
            &[
                |p| p.repetition_penalty = 1.0,
                |p| {
                    p.repetition_penalty = 1.2;
                    p.penalty_context_size = 0;
                },
            ],
        ),
        ("penalties", |p| p.presence_penalty = 0.1, &[|p| p.presence_penalty = 0.0]),
        ("penalties", |p| p.frequency_penalty = 0.1, &[|p| p.frequency_penalty = 0.0]),
        (
            "dry",
            |p| {
                p.dry_multiplier = 1.0;
                p.dry_penalty_last_n = 64;
            },
            &[|p| p.dry_multiplier = -1.0, |p| p.dry_multiplier = 0.0, |p| p.dry_multiplier = 1.0],
        ),
        ("top-n-sigma", |p| p.top_n_sigma = 1.0, &[|p| p.top_n_sigma = -1.0, |p| p.top_n_sigma = 0.0]),
        ("top-k", |p| p.top_k = 5, &[|p| p.top_k = 0, |p| p.top_k = -1]),
        ("typical", |p| p.typical_p = 0.5, &[|p| p.typical_p = -1.0, |p| p.typical_p = 1.0]),
        ("top-p", |p| p.top_p = 0.5, &[|p| p.top_p = 1.0, |p| p.top_p = -1.0]),
        ("min-p", |p| p.min_p = 0.1, &[|p| p.min_p = 0.0, |p| p.min_p = -1.0]),
    ];
    for (sampler, on, offs) in table {
        let mut parameters = bare();
        on(&mut parameters);
        let mut expected = vec![sampler, "temperature", "choice"];
        assert_eq!(names(&parameters), expected, "{sampler}");
        expected.remove(0);
        for (index, off) in offs.iter().enumerate() {
            let mut parameters = bare();
            off(&mut parameters);
            assert_eq!(names(&parameters), expected, "{sampler}, off value {index}");
        }
    }
}

#[test]
fn xtc_is_off_at_0_at_minus_1_and_above_its_greatest_threshold() {
    let with = |p, t| names(&SamplerParameters { xtc_probability: p, xtc_threshold: t, ..bare() });
    assert_eq!(with(0.5, 0.1), ["xtc", "temperature", "choice"]);
    for (probability, threshold) in [(0.0, 0.1), (-1.0, 0.1), (0.5, 0.6)] {
        assert_eq!(with(probability, threshold), ["temperature", "choice"]);
    }
}

#[test]
fn a_temperature_of_0_or_less_takes_the_likeliest_token() {
    for temperature in [0.0, -1.0, f32::NAN] {
        let parameters = SamplerParameters { temperature, ..all_on() };
        assert_eq!(names(&parameters), ["bias", "penalties", "dry", "greedy"]);
        let mirostat = SamplerParameters { temperature, mirostat: 2, ..bare() };
        assert_eq!(names(&mirostat), ["greedy"]);
    }
    assert_eq!(greedy_plan(), [Stage::Greedy]);
}

#[test]
fn mirostat_replaces_filters_and_penalties() {
    assert_eq!(names(&SamplerParameters { mirostat: 1, ..all_on() }), ["bias", "temperature", "mirostat"]);
    assert_eq!(names(&SamplerParameters { mirostat: 2, ..all_on() }), ["bias", "temperature", "mirostat-2"]);
}

#[test]
fn windows_of_minus_1_reach_over_the_whole_context() {
    let stages = plan(&all_on(), SEED, 512);
    assert!(stages.iter().any(|stage| matches!(stage, Stage::Penalties { last_n: 512, .. })));
    assert!(stages.iter().any(|stage| matches!(stage, Stage::Dry { penalty_last_n: 512, .. })));
}

#[test]
fn a_fixed_seed_is_the_sessions_seed_and_a_random_one_is_drawn() {
    assert_eq!(session_seed(&SamplerParameters { seed: 42, ..defaults() }), 42);
    let drawn: HashSet<u32> = (0..8).map(|_| session_seed(&defaults())).collect();
    assert!(drawn.len() > 1, "eight draws are all the same: {drawn:?}");
    assert!(!drawn.contains(&SamplerParameters::RANDOM_SEED));
}

#[test]
fn replies_at_different_places_and_under_different_seeds_draw_differently() {
    let seeds: HashSet<u32> =
        (0..100).flat_map(|seed| (0..100).map(move |at| reply_seed(seed, at))).collect();
    assert!(seeds.len() > 9_990, "{} of 10000 seeds are different", seeds.len());
}

#[test]
fn xtc_and_the_choice_do_not_draw_the_same_numbers() {
    let stages = plan(&all_on(), SEED, N_CTX);
    let seed_of = |wanted: &str| {
        stages.iter().find(|stage| name(stage) == wanted).map(|stage| match stage {
            Stage::Xtc { seed, .. } | Stage::Distribution { seed } => *seed,
            _ => 0,
        })
    };
    assert_ne!(seed_of("xtc"), seed_of("choice"));
}

proptest! {
    /// Whatever the parameters: exactly one stage chooses, it is the last one, and it never draws a seed of its own.
    #[test]
    fn a_plan_ends_with_its_only_choice(
        temperature in any::<f32>(), top_p in any::<f32>(), top_k in any::<i32>(), min_p in any::<f32>(),
        mirostat in any::<u8>(), seed in any::<u32>(), tokens in any::<usize>(), n_ctx in any::<u32>(),
    ) {
        let parameters = SamplerParameters { temperature, top_p, top_k, min_p, mirostat, ..defaults() };
        let stages = plan(&parameters, reply_seed(seed, tokens), n_ctx);
        let chooses = |stage: &Stage| {
            matches!(name(stage), "choice" | "greedy" | "mirostat" | "mirostat-2")
        };
        prop_assert_eq!(stages.iter().filter(|stage| chooses(stage)).count(), 1);
        prop_assert!(stages.last().is_some_and(chooses));
        if let Some(Stage::Distribution { seed }) = stages.last() {
            prop_assert_ne!(*seed, SamplerParameters::RANDOM_SEED);
        }
    }
}
