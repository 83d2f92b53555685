//! The route of a load: decided by a table, and refused in words.

use intact_format::canary::CanaryRule;
use intact_format::kv_type::KvType;
use intact_format::passport::{Axis, Consequence, Difference, Passport, compare};
use intact_format::route::{
    Decision, ImageStatus, LoadPolicy, LoadSituation, Refusal, RefusalCode, Route, decide,
};
use proptest::prelude::*;

use crate::passports::TABLE;
use crate::sample::passport;
use ImageStatus::{Damaged, Missing, Opaque, Present};
use Route::{Direct, Replayed, Reprefilled, Transcoded};

const IMAGES: [ImageStatus; 5] = [Present, Opaque, Missing, Damaged, ImageStatus::None];

fn situation(differences: &[Difference]) -> LoadSituation<'_> {
    LoadSituation {
        differences,
        image: Present,
        tokens: 100,
        n_ctx: 4096,
        lossy: false,
        policy: LoadPolicy::default(),
    }
}

fn differing(change: fn(&mut Passport)) -> Vec<Difference> {
    let mut here = passport();
    change(&mut here);
    compare(&passport(), &here)
}

fn decided(differences: &[Difference], image: ImageStatus, policy: LoadPolicy) -> Result<Decision, Refusal> {
    decide(&LoadSituation { image, policy, ..situation(differences) })
}

/// Every row of the table: what differs, by the gravest consequence; the image; the routes in order.
#[test]
fn the_best_safe_route_is_taken() {
    let same: fn(&mut Passport) = |_| ();
    let harmless: fn(&mut Passport) = |p| p.machine.threads = 8;
    let transcode: fn(&mut Passport) = |p| p.cache.v_transposed = true;
    let reprefill: fn(&mut Passport) = |p| p.rope.base = 5.0;
    let replay: fn(&mut Passport) = |p| p.model.vocabulary = "00".repeat(32);
    type Row<'a> = (fn(&mut Passport), &'a [ImageStatus], &'a [Route]);
    let table: [Row<'_>; 9] = [
        (same, &[Present, Opaque], &[Direct, Reprefilled, Replayed]),
        (same, &[Missing, Damaged, ImageStatus::None], &[Reprefilled, Replayed]),
        (harmless, &[Present, Opaque], &[Direct, Reprefilled, Replayed]),
        (harmless, &[Missing, Damaged, ImageStatus::None], &[Reprefilled, Replayed]),
        (transcode, &[Present], &[Transcoded, Reprefilled, Replayed]),
        (transcode, &[Opaque, Missing, Damaged, ImageStatus::None], &[Reprefilled, Replayed]),
        (reprefill, &IMAGES, &[Reprefilled, Replayed]),
        (replay, &IMAGES, &[Replayed]),
        (|p| (p.model.vocabulary, p.rope.base) = ("00".repeat(32), 5.0), &IMAGES, &[Replayed]),
    ];
    for (row, (change, images, routes)) in table.into_iter().enumerate() {
        for image in images {
            let decision = decided(&differing(change), *image, LoadPolicy::ALL).unwrap();
            assert_eq!(decision.routes().collect::<Vec<_>>(), routes, "row {row}, image {image:?}");
            assert_eq!(
                decision.because.is_empty(),
                decision.route == Direct,
                "row {row}: {}",
                decision.because
            );
        }
    }
}

#[test]
fn a_consequence_of_refusal_leaves_no_route() {
    let mut differences = differing(|p| p.rope.base = 5.0);
    differences[3].consequence = Consequence::Refuse;
    assert!(decided(&differences, Present, LoadPolicy::ALL).is_err());
}

#[test]
fn the_policy_decides_which_routes_are_left() {
    // (what differs, image, policy, route or code)
    type Row = (fn(&mut Passport), ImageStatus, LoadPolicy, Result<Route, RefusalCode>);
    let replay_only = LoadPolicy::from_iter([Replayed]);
    let none = LoadPolicy::from_iter([]);
    let table: [Row; 14] = [
        (|_| (), Present, LoadPolicy::STRICT, Ok(Direct)),
        (|p| p.release = "next".to_owned(), Present, LoadPolicy::STRICT, Ok(Direct)),
        (|_| (), Missing, LoadPolicy::default(), Ok(Reprefilled)),
        (|_| (), Missing, LoadPolicy::STRICT, Err(RefusalCode::ImageMissing)),
        (|_| (), Damaged, LoadPolicy::STRICT, Err(RefusalCode::ImageDamaged)),
        (|_| (), ImageStatus::None, LoadPolicy::STRICT, Err(RefusalCode::ImageAbsent)),
        (|p| p.cache.v_transposed = true, Present, LoadPolicy::STRICT, Err(RefusalCode::LayoutDiffers)),
        (|p| p.model.sha256 = "00".repeat(32), Present, LoadPolicy::default(), Ok(Reprefilled)),
        (|p| p.model.sha256 = "00".repeat(32), Present, LoadPolicy::STRICT, Err(RefusalCode::WeightsDiffer)),
        (
            |p| p.model.vocabulary = "00".repeat(32),
            Present,
            LoadPolicy::default(),
            Err(RefusalCode::TokenizerDiffers),
        ),
        (|p| p.model.vocabulary = "00".repeat(32), Present, replay_only, Ok(Replayed)),
        (
            |p| p.model.chat_template = None,
            Present,
            LoadPolicy::default(),
            Err(RefusalCode::ChatTemplateDiffers),
        ),
        (|p| p.cache.type_k = KvType::Q4_0, Missing, LoadPolicy::STRICT, Err(RefusalCode::KvTypeDiffers)),
        (|_| (), Present, none, Err(RefusalCode::PolicyForbids)),
    ];
    for (row, (change, image, policy, expected)) in table.into_iter().enumerate() {
        let found = decided(&differing(change), image, policy);
        assert_eq!(
            found.map(|decision| decision.route).map_err(|refusal| refusal.code),
            expected,
            "row {row}"
        );
    }
}

#[test]
fn every_axis_that_can_forbid_a_strict_load_has_its_own_code() {
    for (axis, change, consequence) in TABLE {
        let strict = decided(&differing(change), Present, LoadPolicy::STRICT);
        match strict {
            Ok(decision) => assert!(consequence <= Consequence::Harmless, "{axis}: {decision:?}"),
            Err(refusal) => {
                assert!(consequence > Consequence::Harmless, "{axis}: {refusal}");
                assert_eq!(refusal.code, axis.refusal_code());
                assert_ne!(refusal.code, RefusalCode::PolicyForbids, "{axis}");
                assert_eq!(refusal.axes.iter().map(|axis| axis.axis).collect::<Vec<_>>(), [axis]);
            }
        }
    }
}

#[test]
fn a_session_that_does_not_fit_is_refused_on_every_route() {
    let fits = LoadSituation { tokens: 512, n_ctx: 512, policy: LoadPolicy::ALL, ..situation(&[]) };
    assert!(decide(&fits).is_ok());
    let refusal = decide(&LoadSituation { tokens: 513, ..fits }).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ContextTooSmall);
    insta::assert_snapshot!(refusal, @r"
    the session is longer than the context
      context-length: saved 513 tokens, here room for 512: refuse, because the session does not fit
    raise the context (ContextSize, --context) to at least the tokens of the session
    ");
}

#[test]
fn a_policy_can_forbid_to_lose_precision() {
    let differences = differing(|p| p.cache.type_k = KvType::Q8_0);
    let route = |lossy, policy| {
        decide(&LoadSituation { lossy, policy, ..situation(&differences) }).map(|decision| decision.route)
    };
    let kept = LoadPolicy::TOKENS.lossless();
    assert_eq!(route(true, LoadPolicy::TOKENS), Ok(Transcoded));
    assert_eq!(route(false, kept), Ok(Transcoded));
    assert_eq!(route(true, kept), Ok(Reprefilled));
    let image_only = LoadPolicy::from_iter([Direct, Transcoded]).lossless();
    assert_eq!(route(true, image_only).unwrap_err().code, RefusalCode::KvTypeDiffers);
    let decision = decide(&LoadSituation { lossy: true, policy: kept, ..situation(&differences) }).unwrap();
    assert!(decision.because.contains("forbids transcoding with a loss"), "{}", decision.because);
}

#[test]
fn how_close_the_canary_must_be_follows_from_route_and_axes() {
    let rules = |change: fn(&mut Passport)| {
        let differences = differing(change);
        let decision = decide(&LoadSituation { policy: LoadPolicy::ALL, ..situation(&differences) }).unwrap();
        Route::ALL.map(|route| decision.canary_rule(route))
    };
    use CanaryRule::{Exact, Floor, Lossy, Reported};
    assert_eq!(rules(|_| ()), [Exact, Floor, Reported, Reported]);
    assert_eq!(rules(|p| p.model.file = "renamed.gguf".to_owned()), [Exact, Floor, Reported, Reported]);
    assert_eq!(rules(|p| p.machine.threads = 8), [Floor, Floor, Reported, Reported]);
    assert_eq!(rules(|p| p.cache.type_k = KvType::Q4_0), [Lossy, Lossy, Reported, Reported]);
    assert_eq!(rules(|p| p.cache.type_k = KvType::F32), [Floor, Floor, Reported, Reported]);
    assert_eq!(rules(|p| p.cache.rotation_k = 64), [Floor, Floor, Reported, Reported]);
    assert_eq!(rules(|p| p.cache.v_transposed = true), [Floor, Floor, Reported, Reported]);
    assert_eq!(rules(|p| p.model.sha256 = "00".repeat(32)), [Reported; 4]);
}

#[test]
fn a_refusal_names_every_axis_with_both_values_and_what_to_do() {
    let differences = differing(|p| {
        p.model.sha256 = "e5".repeat(32);
        p.model.vocabulary = "00".repeat(32);
        p.cache.type_k = KvType::Q8_0;
        p.model.file = "llama-b-f16.gguf".to_owned();
        p.machine.threads = 8;
        p.saved_at += std::time::Duration::from_secs(60);
    });
    insta::assert_snapshot!(decided(&differences, Present, LoadPolicy::default()).unwrap_err());
}

#[test]
fn every_code_says_what_happened_and_what_to_do() {
    let lines = RefusalCode::all().map(|code| format!("{code}: {}; {}", code.summary(), code.next_step()));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn names_survive_their_text() {
    for route in Route::ALL {
        assert_eq!(route.as_str().parse(), Ok(route));
        assert_eq!(serde_json::to_value(route).unwrap(), route.as_str());
    }
    for policy in [LoadPolicy::STRICT, LoadPolicy::TOKENS, LoadPolicy::ALL, LoadPolicy::TOKENS.lossless()] {
        assert_eq!(
            serde_json::from_value::<LoadPolicy>(serde_json::to_value(policy).unwrap()).unwrap(),
            policy
        );
    }
    let named = LoadPolicy::of_names(["direct", LoadPolicy::LOSSLESS, "reprefilled"]);
    assert_eq!(named, Ok(LoadPolicy::TOKENS.lossless()));
    assert_eq!(LoadPolicy::of_names(["direct"]), Ok(LoadPolicy::from_iter([Direct])));
    assert!(LoadPolicy::of_names(["sideways"]).is_err());
    let lossless = serde_json::to_value(LoadPolicy::TOKENS.lossless()).unwrap();
    assert_eq!(
        lossless,
        serde_json::json!({ "routes": ["direct", "transcoded", "reprefilled"], "lossless": true })
    );
}

fn consequences() -> impl Strategy<Value = Vec<Difference>> {
    let consequence = prop::sample::select(&Consequence::ALL[..]);
    let axis = prop::sample::select(Axis::all().collect::<Vec<_>>());
    let difference = (axis, consequence).prop_map(|(axis, consequence)| Difference {
        axis,
        saved: "a".to_owned(),
        here: "b".to_owned(),
        consequence,
        reason: "because".to_owned(),
        canary: CanaryRule::Floor,
    });
    proptest::collection::vec(difference, 0..6)
}

fn policies() -> impl Strategy<Value = LoadPolicy> {
    proptest::collection::vec(prop::sample::select(&Route::ALL[..]), 0..5).prop_map(LoadPolicy::from_iter)
}

proptest! {
    #[test]
    fn a_route_is_allowed_and_safe_or_there_is_none(
        differences in consequences(),
        image in prop::sample::select(&IMAGES[..]),
        policy in policies(),
    ) {
        let gravest = intact_format::passport::worst(&differences);
        match decided(&differences, image, policy) {
            Ok(decision) => {
                prop_assert!(decision.routes().all(|route| policy.allows(route)));
                prop_assert!(decision.routes().is_sorted());
                let uses_image = decision.routes().any(|route| route <= Transcoded);
                prop_assert!(!uses_image || matches!(image, Present | Opaque));
                prop_assert!(!uses_image || gravest <= Consequence::Transcode);
                prop_assert!(!decision.routes().any(|route| route == Direct) || gravest <= Consequence::Harmless);
                prop_assert!(!decision.routes().any(|route| route == Reprefilled) || gravest <= Consequence::Reprefill);
            }
            Err(refusal) => {
                let named = refusal.axes.iter().all(|axis| refusal.message.contains(axis.axis.name()));
                prop_assert!(named && refusal.message.contains(refusal.code.next_step()), "{}", refusal);
            }
        }
    }

    #[test]
    fn a_wider_policy_never_takes_a_route_away(
        differences in consequences(),
        image in prop::sample::select(&IMAGES[..]),
        policy in policies(),
        more in prop::sample::select(&Route::ALL[..]),
    ) {
        let wider = LoadPolicy::from_iter(policy.routes().chain([more]));
        if let Ok(decision) = decided(&differences, image, policy) {
            let wide = decided(&differences, image, wider).unwrap();
            prop_assert!(wide.route <= decision.route);
        }
    }
}
