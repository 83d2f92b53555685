//! The canary: equal logits are equal, and nothing else is.

use intact_format::canary::{Canary, CanaryDistance, CanaryRule, Standing};
use intact_format::noise::Noise;
use intact_format::token::{Position, Token};
use proptest::prelude::*;

use crate::sample::{finite, logits};

fn canary(logits: &[f32]) -> Canary {
    Canary::of(Token(7), Position(9), logits).expect("finite logits")
}

#[test]
fn it_keeps_the_greatest_logits_in_order() {
    let (logits, canary) = (logits(), canary(&logits()));
    assert_eq!(canary.top_k.len(), Canary::TOP_K);
    let mut sorted = logits.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let kept: Vec<_> = canary.top_k.iter().map(|top| top.logit).collect();
    assert_eq!(kept, sorted[..Canary::TOP_K]);
    for top in &canary.top_k {
        assert_eq!(logits[usize::try_from(top.token.0).unwrap()], top.logit);
    }
    assert_eq!((canary.token, canary.position, canary.n_vocab), (Token(7), Position(9), 260));
}

#[test]
fn of_equal_logits_the_smaller_token_comes_first() {
    let tokens: Vec<_> = canary(&[1.0; 40]).top_k.iter().map(|top| top.token.0).collect();
    assert_eq!(tokens, (0..32).collect::<Vec<_>>());
}

#[test]
fn a_small_vocabulary_is_kept_whole() {
    assert_eq!(canary(&[0.5, -0.5]).top_k.len(), 2);
}

#[test]
fn logits_that_are_no_numbers_make_no_canary() {
    let broken: [&[f32]; 5] =
        [&[], &[f32::NAN, 1.0], &[1.0, f32::INFINITY], &[f32::NEG_INFINITY, 1.0], &[f32::NEG_INFINITY; 3]];
    for logits in broken {
        assert_eq!(Canary::of(Token(0), Position(0), logits), None, "{logits:?}");
    }
    // Masked tokens below the greatest are fine.
    let mut masked = vec![0.0; 40];
    masked[39] = f32::NEG_INFINITY;
    assert!(canary(&masked).distance(&masked).max_abs == 0.0);
}

#[test]
fn what_cannot_be_compared_is_infinitely_far() {
    let canary = canary(&logits());
    let mut not_a_number = logits();
    not_a_number[259] = f32::NAN;
    let mut endless = logits();
    endless[3] = f32::INFINITY;
    for got in [
        vec![],
        logits()[..259].to_vec(),
        [logits(), vec![0.0]].concat(),
        not_a_number,
        endless,
        vec![f32::NEG_INFINITY; 260],
    ] {
        let distance = canary.distance(&got);
        assert_eq!(distance, CanaryDistance::INCOMPARABLE);
        for rule in [CanaryRule::Exact, CanaryRule::Floor, CanaryRule::Lossy] {
            assert_eq!(rule.standing(&distance, Some(&noise(1.0))), Standing::Refuted, "{rule}");
        }
        assert_eq!(CanaryRule::Reported.standing(&distance, None), Standing::Shown);
    }
}

/// Noise of so great a divergence.
fn noise(kl: f32) -> Noise {
    Noise { positions: 8, kl, logprob: 0.1, keys: None, values: None }
}

#[test]
fn what_logits_say_depends_on_how_far_the_model_is_from_itself() {
    let shifted = |by: f32| {
        let mut got = logits();
        got.iter_mut().enumerate().for_each(|(token, logit)| *logit += if token % 2 == 0 { by } else { -by });
        canary(&logits()).distance(&got)
    };
    use Standing::{Open, Refuted, Shown};
    // (greatest change of a logit, noise of the model, exact, floor)
    let table = [
        (0.0, None, Shown, Shown),
        (1e-6, None, Refuted, Open),
        (1e-6, Some(0.0), Refuted, Shown),
        (0.04, Some(0.0), Refuted, Open),
        (0.04, Some(1e-3), Refuted, Shown),
        (1.0, Some(1e-3), Refuted, Open),
        (1.0, Some(1.0), Refuted, Shown),
    ];
    for (by, of, exact, floor) in table {
        let (distance, noise) = (shifted(by), of.map(noise));
        let standing = [CanaryRule::Exact, CanaryRule::Floor, CanaryRule::Lossy]
            .map(|rule| rule.standing(&distance, noise.as_ref()));
        assert_eq!(standing, [exact, floor, floor], "{by}, {of:?}: {distance}");
    }
}

#[test]
fn another_likeliest_token_is_seen() {
    let mut got = logits();
    let last = got.len() - 1;
    got[last] = 100.0;
    assert!(canary(&logits()).distance(&logits()).same_top1);
    assert!(!canary(&logits()).distance(&got).same_top1);
    assert!(canary(&logits()).distance(&got).kl > 1.0);
}

proptest! {
    #[test]
    fn a_distance_is_zero_for_the_same_and_only_for_the_same_logits(
        logits in proptest::collection::vec(-1e4..1e4_f32, 1..80),
        at in any::<prop::sample::Index>(),
        other in -1e4..1e4_f32,
    ) {
        let canary = canary(&logits);
        let same = canary.distance(&logits);
        prop_assert_eq!(same.max_abs, 0.0);
        prop_assert!(same.same_top1 && CanaryRule::Exact.standing(&same, None) == Standing::Shown, "{}", same);

        let at = canary.top_k[at.index(canary.top_k.len())].token.0;
        let mut got = logits.clone();
        got[usize::try_from(at).unwrap()] = other;
        let distance = canary.distance(&got);
        prop_assert_eq!(distance.max_abs == 0.0, got == logits);
        prop_assert!(distance.kl >= 0.0 && distance.max_logprob >= 0.0);
    }

    #[test]
    fn a_canary_survives_json_bit_for_bit(logits in proptest::collection::vec(finite(), 1..40)) {
        if let Some(canary) = Canary::of(Token(1), Position(1), &logits) {
            let text = serde_json::to_string(&canary).unwrap();
            let back: Canary = serde_json::from_str(&text).unwrap();
            let bits = |canary: &Canary| canary.top_k.iter().map(|top| top.logit.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&canary));
            prop_assert_eq!(back, canary);
        }
    }

    #[test]
    fn a_laxer_rule_accepts_whatever_a_stricter_one_does(
        logits in proptest::collection::vec(-20.0..20.0_f32, 2..80),
        noise in proptest::collection::vec(-0.2..0.2_f32, 80),
        size in prop_oneof![Just(0.0_f32), Just(1e-3), Just(0.3), Just(1.0)],
    ) {
        let got: Vec<_> = logits.iter().zip(noise).map(|(logit, noise)| logit + noise * size).collect();
        let distance = canary(&logits).distance(&got);
        let measured = self::noise(1e-3);
        let standing = [CanaryRule::Exact, CanaryRule::Floor, CanaryRule::Lossy, CanaryRule::Reported]
            .map(|rule| rule.standing(&distance, Some(&measured)));
        prop_assert!(standing.is_sorted_by_key(|standing| *standing != Standing::Refuted), "{:?}", standing);
        prop_assert!(standing.is_sorted_by_key(|standing| *standing == Standing::Shown), "{:?}", standing);
    }
}
