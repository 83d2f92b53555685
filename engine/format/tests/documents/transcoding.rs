//! Which steps lead from one passport to another, what each costs, and what the same session is in another release.

use intact_format::canary::CanaryRule;
use intact_format::kv_type::KvType;
use intact_format::layout::{LAYOUTS, Layout};
use intact_format::passport::{Axis, Consequence, Passport, compare};
use intact_format::transcode::{Loss, passport_in, plan};
use proptest::prelude::*;

use crate::passports::TABLE;
use crate::sample::passport;

fn with(change: impl FnOnce(&mut Passport)) -> Passport {
    let mut passport = passport();
    change(&mut passport);
    passport
}

fn of_types(type_k: KvType, type_v: KvType) -> Passport {
    with(|p| (p.cache.type_k, p.cache.type_v) = (type_k, type_v))
}

#[test]
fn each_step_says_what_it_costs() {
    use KvType::{Bf16, F16, F32, Q4_0, Q8_0};
    // (saved, here, loss of K's type)
    let table = [
        (F16, F32, Loss::None),
        (Bf16, F32, Loss::None),
        (Q8_0, F32, Loss::None),
        (Q4_0, F32, Loss::None),
        (F32, F16, Loss::Declared),
        (F16, Bf16, Loss::Declared),
        (Bf16, F16, Loss::Declared),
        (F16, Q8_0, Loss::Declared),
        (Q8_0, F16, Loss::Declared),
        (Q8_0, Q4_0, Loss::Declared),
        (Q4_0, Q8_0, Loss::Declared),
    ];
    for (saved, here, loss) in table {
        let steps = plan(&of_types(saved, F16), &of_types(here, F16)).unwrap();
        let found: Vec<_> = steps.0.iter().map(|step| (step.axis, step.loss)).collect();
        assert_eq!(found, [(Axis::KvTypeK, loss)], "{saved} to {here}");
        assert_eq!(steps.loss(), loss);
    }
    let rotated = plan(&passport(), &with(|p| p.cache.rotation_v = 64)).unwrap();
    assert_eq!(rotated.to_string(), "rotation-v: none to 64, rounded to the same type");
    let turned = plan(&passport(), &with(|p| p.cache.v_transposed = true)).unwrap();
    assert_eq!(turned.to_string(), "v-transposed: by cell to by element, exact");
    assert!(plan(&passport(), &passport()).unwrap().is_empty());
}

#[test]
fn what_cannot_be_reached_is_named_with_the_reason() {
    let reason = |here: &Passport| plan(&passport(), here).unwrap_err().to_string();
    assert_eq!(
        reason(&with(|p| p.cache.type_v = KvType::Q5_0)),
        "kv-type-v: f16 cannot become q5_0: only f32, f16, bf16, q8_0 and q4_0 are converted"
    );
    assert_eq!(
        reason(&with(|p| p.layout = None)),
        "layout: 0.6.0 cannot become unknown: one of the layouts is not known"
    );
    assert_eq!(
        reason(&with(|p| (p.cache.type_v, p.cache.v_transposed) = (KvType::Q8_0, true))),
        "v-transposed: by cell cannot become by element: quantized values have no elements of their own"
    );
    assert_eq!(
        reason(&with(|p| p.cache.rotation_k = 96)),
        "rotation-k: none cannot become 96: rotations have a power of two as their size"
    );
}

/// The two tables agree: the passports' comparison calls `transcode` what the plan can do.
#[test]
fn an_axis_is_transcoded_where_there_is_a_step_for_it() {
    for (axis, differ, consequence) in TABLE {
        let steps = plan(&passport(), &with(differ));
        match consequence {
            Consequence::Transcode => {
                assert!(steps.unwrap().0.iter().any(|step| step.axis == axis), "{axis}");
            }
            Consequence::Same | Consequence::Harmless => assert!(steps.is_ok(), "{axis}"),
            _ if steps.is_err() => (),
            _ => assert!(steps.unwrap().is_empty(), "{axis}: what it means and not how it lies"),
        }
    }
}

#[test]
fn how_close_the_canary_can_be_follows_from_the_steps() {
    let rule = |saved: &Passport, here: &Passport| plan(saved, here).unwrap().canary_rule(&saved.cache);
    let (q8, q4) = (of_types(KvType::Q8_0, KvType::Q8_0), of_types(KvType::Q4_0, KvType::Q8_0));
    let rotated = |saved: &Passport| {
        let mut here = saved.clone();
        here.cache.rotation_k = 64;
        here
    };
    assert_eq!(rule(&passport(), &with(|p| p.cache.v_transposed = true)), CanaryRule::Floor);
    assert_eq!(rule(&passport(), &of_types(KvType::F32, KvType::F16)), CanaryRule::Floor);
    assert_eq!(rule(&q8, &rotated(&q8)), CanaryRule::Floor);
    assert_eq!(rule(&q4, &rotated(&q4)), CanaryRule::Lossy);
    assert_eq!(rule(&passport(), &q8), CanaryRule::Lossy);
}

/// A head size of 128: rotated by 128 and 64 from b8619 on, where it is quantized.
fn headed(kind: KvType) -> Passport {
    with(|p| {
        p.model.shape.0.insert("attention.key_length".to_owned(), "128".to_owned());
        p.model.shape.0.insert("attention.value_length".to_owned(), "128".to_owned());
        (p.cache.type_k, p.cache.type_v) = (kind, kind);
    })
}

#[test]
fn the_same_session_in_another_release() {
    let route_of = |kind: KvType, from: &str, to: &str| {
        let layout = |id: &str| Layout::by_id(id).unwrap();
        let saved = passport_in(&headed(kind), from, layout(from)).unwrap();
        let here = passport_in(&saved, to, layout(to)).unwrap();
        let axes: Vec<_> = compare(&saved, &here)
            .into_iter()
            .filter(|difference| difference.consequence == Consequence::Transcode)
            .map(|difference| difference.axis.name())
            .collect();
        (axes.join(" "), plan(&saved, &here).unwrap().loss())
    };
    for kind in [KvType::F16, KvType::Q8_0] {
        assert_eq!(route_of(kind, "0.6.0", "0.6.0"), (String::new(), Loss::None));
        assert_eq!(route_of(kind, "b5485", "b8215"), ("layout".to_owned(), Loss::None));
        assert_eq!(route_of(kind, "b8619", "0.6.0"), ("layout".to_owned(), Loss::None));
    }
    let across = "layout rotation-k rotation-v".to_owned();
    assert_eq!(route_of(KvType::F16, "b8215", "b8619"), ("layout".to_owned(), Loss::None));
    assert_eq!(route_of(KvType::Q8_0, "b8215", "b8619"), (across.clone(), Loss::Rounding));
    assert_eq!(route_of(KvType::Q8_0, "0.6.0", "b5913"), (across, Loss::Rounding));
}

#[test]
fn without_head_sizes_only_what_is_not_quantized_is_told() {
    let newest = Layout::newest();
    let mut saved = of_types(KvType::Q8_0, KvType::F16);
    saved.model.shape.0.clear();
    let error = passport_in(&saved, "0.6.0", newest).unwrap_err().to_string();
    assert!(error.contains("0.6.0") && error.contains("head size"), "{error}");
    saved.cache.type_k = KvType::F16;
    assert!(passport_in(&saved, "0.6.0", newest).is_ok());
}

proptest! {
    #[test]
    fn going_to_a_release_and_back_is_the_passport_that_it_was(
        from in 0..LAYOUTS.len(),
        to in 0..LAYOUTS.len(),
        kind in prop::sample::select(vec![KvType::F16, KvType::Q8_0, KvType::Q4_0]),
    ) {
        let (from, to) = (&LAYOUTS[from], &LAYOUTS[to]);
        let saved = passport_in(&headed(kind), from.id, from).unwrap();
        let there = passport_in(&saved, to.id, to).unwrap();
        prop_assert_eq!(passport_in(&there, from.id, from).unwrap(), saved);
    }
}
