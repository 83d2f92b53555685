//! Two passports, axis by axis: a table as the oracle, and the laws that every pair obeys.

use intact_format::canary::CanaryRule;
use intact_format::kv_type::KvType;
use intact_format::parameters::RopeScalingType;
use intact_format::passport::{Axis, Consequence, Migration, Passport, compare, worst};
use intact_format::transcode::plan;
use intact_format::version::FormatVersion;
use proptest::prelude::*;

use crate::sample::passport;
use Consequence::{Harmless, Replay, Reprefill, Same, Transcode};

/// One way to differ: the axis, how, and what follows.
pub(crate) type Row = (Axis, fn(&mut Passport), Consequence);

pub(crate) const TABLE: [Row; 43] = [
    (Axis::Engine, |p| p.engine = "9.9.9".to_owned(), Harmless),
    (Axis::Format, |p| p.format = FormatVersion::V1_1, Harmless),
    (Axis::Release, |p| p.release = "0.7.0".to_owned(), Harmless),
    (Axis::Layout, |p| p.layout = Some("b8619".to_owned()), Transcode),
    (Axis::Layout, |p| p.layout = None, Reprefill),
    (Axis::ModelRepository, |p| p.model.repository = None, Harmless),
    (Axis::ModelRevision, |p| p.model.revision = None, Harmless),
    (Axis::ModelFile, |p| p.model.file = "renamed.gguf".to_owned(), Harmless),
    (Axis::Architecture, |p| p.model.architecture = "qwen2".to_owned(), Reprefill),
    (Axis::ModelShape, |p| drop(p.model.shape.0.insert("block_count".to_owned(), "3".to_owned())), Reprefill),
    (Axis::ModelShape, |p| drop(p.model.shape.0.remove("block_count")), Reprefill),
    (Axis::ModelContent, |p| p.model.sha256 = "00".repeat(32), Reprefill),
    (Axis::ModelSize, |p| p.model.size += 1, Harmless),
    (Axis::Quantization, |p| p.model.quantization = "Q8_0".to_owned(), Harmless),
    (Axis::Vocabulary, |p| p.model.vocabulary = "00".repeat(32), Replay),
    (Axis::ChatTemplate, |p| p.model.chat_template = None, Replay),
    (Axis::ChatTemplate, |p| p.model.chat_template = Some("00".repeat(32)), Replay),
    (Axis::KvTypeK, |p| p.cache.type_k = KvType::Q8_0, Transcode),
    (Axis::KvTypeK, |p| p.cache.type_k = KvType::Q5_1, Reprefill),
    (Axis::KvTypeV, |p| p.cache.type_v = KvType::Q4_0, Transcode),
    (Axis::KvTypeV, |p| p.cache.type_v = KvType::Iq4Nl, Reprefill),
    (Axis::VTransposed, |p| p.cache.v_transposed = true, Transcode),
    (Axis::RotationK, |p| p.cache.rotation_k = 64, Transcode),
    (Axis::RotationK, |p| p.cache.rotation_k = 96, Reprefill),
    (Axis::RotationV, |p| p.cache.rotation_v = 64, Transcode),
    (Axis::RotationV, |p| p.cache.rotation_v = 96, Reprefill),
    (Axis::KvUnified, |p| p.cache.unified = true, Harmless),
    (Axis::Streams, |p| p.cache.streams = 4, Harmless),
    (Axis::SequencesMax, |p| p.cache.n_seq_max = 4, Harmless),
    (Axis::ContextLength, |p| p.cache.n_ctx = 512, Harmless),
    (Axis::SlidingWindowFull, |p| p.cache.swa_full = Some(true), Reprefill),
    (Axis::RopeScaling, |p| p.rope.scaling = RopeScalingType::Yarn, Reprefill),
    (Axis::RopeBase, |p| p.rope.base = 10_000.001, Reprefill),
    (Axis::RopeScale, |p| p.rope.scale = 0.5, Reprefill),
    (Axis::Yarn, |p| p.rope.yarn_ext_factor = 1.0, Reprefill),
    (Axis::Adapters, |p| p.adapters.clear(), Reprefill),
    (Axis::Adapters, |p| p.adapters.iter_mut().for_each(|adapter| adapter.scale = 0.25), Reprefill),
    (Axis::Preset, |p| p.preset = None, Harmless),
    (Axis::Backend, |p| p.machine.backend = "CUDA".to_owned(), Harmless),
    (Axis::CpuFeatures, |p| p.machine.cpu_features.push("avx512f".to_owned()), Harmless),
    (Axis::Threads, |p| p.machine.threads = 8, Harmless),
    (Axis::FlashAttention, |p| p.machine.flash_attention = false, Harmless),
    (Axis::Migrations, |p| p.migrations.push(migration()), Harmless),
];

fn migration() -> Migration {
    Migration {
        from: "b8233".to_owned(),
        to: "0.6.0".to_owned(),
        at: "2026-11-22T00:00:00Z".parse().expect("a time"),
        steps: vec!["layout: b8215 to 0.6.0, exact".to_owned()],
        canary: CanaryRule::Floor,
    }
}

#[test]
fn each_axis_alone_has_the_consequence_of_the_table() {
    for (axis, differ, consequence) in TABLE {
        let mut here = passport();
        differ(&mut here);
        for difference in compare(&passport(), &here) {
            let expected = if difference.axis == axis { consequence } else { Same };
            // An unknown layout also means that another release cannot be told to be harmless, but here it is the same.
            assert_eq!(difference.consequence, expected, "{} where {axis} differs", difference.axis);
            assert_eq!(difference.reason.is_empty(), expected == Same, "{axis}: {}", difference.reason);
            assert_eq!(difference.saved == difference.here, expected == Same, "{axis}");
        }
    }
}

#[test]
fn the_table_has_every_axis() {
    let untested: Vec<_> = Axis::all().filter(|axis| !TABLE.iter().any(|row| row.0 == *axis)).collect();
    assert_eq!(untested, [Axis::SavedAt], "which differs between any save and load and never matters");
}

#[test]
fn another_release_is_harmless_only_where_both_layouts_are_known() {
    let (mut saved, mut here) = (passport(), passport());
    here.release = "0.7.0".to_owned();
    let release = |saved: &Passport, here: &Passport| {
        compare(saved, here)
            .into_iter()
            .find(|difference| difference.axis == Axis::Release)
            .unwrap()
            .consequence
    };
    assert_eq!(release(&saved, &here), Harmless);
    here.layout = None;
    assert_eq!(release(&saved, &here), Reprefill);
    saved.layout = None;
    assert_eq!(release(&saved, &here), Reprefill);
    here.release = saved.release.clone();
    assert_eq!(worst(&compare(&saved, &here)), Same, "an opaque image goes back to the very release");
}

/// b8233 and b8352 have one layout, and models with gated delta nets are read wrongly across: nothing in the state says so.
#[test]
fn recurrent_states_that_lie_the_other_way_round_are_evaluated_again_and_never_converted() {
    let of = |architecture: &str, release: &str, layout: &str| {
        let mut passport = passport();
        passport.model.architecture = architecture.to_owned();
        passport.release = release.to_owned();
        passport.layout = Some(layout.to_owned());
        passport
    };
    for (architecture, from, to, consequence) in [
        ("qwen3next", ("b8179", "b5913"), ("b8352", "b8215"), Reprefill),
        ("qwen3next", ("b8352", "b8215"), ("b8179", "b5913"), Reprefill),
        ("qwen35", ("b8233", "b8215"), ("b8352", "b8215"), Reprefill),
        ("qwen3next", ("b8300", "b8215"), ("b8352", "b8215"), Reprefill),
        ("qwen3next", ("mine", "b8215"), ("other", "b8215"), Reprefill),
        ("qwen3next", ("mine", "b8215"), ("mine", "b8215"), Same),
        ("qwen3next", ("b8179", "b5913"), ("b8233", "b8215"), Transcode),
        ("qwen3next", ("b8352", "b8215"), ("0.6.0", "0.6.0"), Transcode),
        ("qwen3next", ("b8352", "b8215"), ("mine", "0.6.0"), Transcode),
        ("llama", ("b8179", "b5913"), ("b8352", "b8215"), Transcode),
    ] {
        let (saved, here) = (of(architecture, from.0, from.1), of(architecture, to.0, to.1));
        let compared = compare(&saved, &here);
        let layout = compared.iter().find(|difference| difference.axis == Axis::Layout).unwrap();
        assert_eq!(layout.consequence, consequence, "{architecture} {from:?} {to:?}");
        assert_eq!(plan(&saved, &here).is_err(), consequence == Reprefill, "{architecture} {from:?} {to:?}");
    }
}

#[test]
fn a_shape_that_differs_says_in_which_keys() {
    let mut here = passport();
    here.model.shape.0.insert("block_count".to_owned(), "3".to_owned());
    here.model.shape.0.remove("rope.freq_base");
    let compared = compare(&passport(), &here);
    let shape = compared.iter().find(|difference| difference.axis == Axis::ModelShape).unwrap();
    assert_eq!(shape.saved, "block_count=2 rope.freq_base=10000.0");
    assert_eq!(shape.here, "block_count=3 rope.freq_base=absent");
}

#[test]
fn axes_have_stable_names() {
    for axis in Axis::all() {
        assert_eq!(serde_json::to_value(axis).unwrap(), axis.name());
        assert_eq!(axis.name().parse(), Ok(axis));
        assert!(!axis.meaning().is_empty());
    }
    assert!("favourite-colour".parse::<Axis>().is_err());
    insta::assert_snapshot!(
        Axis::all().map(|axis| format!("{axis}: {}", axis.meaning())).collect::<Vec<_>>().join("\n")
    );
}

fn changed(by: &[bool]) -> Passport {
    let mut passport = passport();
    for (_, (_, differ, _)) in by.iter().zip(TABLE).filter(|(chosen, _)| **chosen) {
        differ(&mut passport);
    }
    passport
}

fn choices() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec(prop::bool::weighted(0.15), TABLE.len())
}

proptest! {
    #[test]
    fn a_passport_is_the_same_as_itself(by in choices()) {
        let compared = compare(&changed(&by), &changed(&by));
        prop_assert_eq!(compared.len(), Axis::all().len());
        prop_assert!(compared.iter().all(|difference| difference.consequence == Same));
    }

    #[test]
    fn what_follows_is_the_same_in_both_directions(left in choices(), right in choices()) {
        let consequences = |saved, here| {
            compare(saved, here).iter().map(|difference| difference.consequence).collect::<Vec<_>>()
        };
        let (left, right) = (changed(&left), changed(&right));
        prop_assert_eq!(consequences(&left, &right), consequences(&right, &left));
    }

    #[test]
    fn one_more_difference_never_makes_it_better(by in choices(), more in 0..TABLE.len()) {
        // Two rows of one axis replace each other: only an axis that is still the same can come to differ.
        let taken = by.iter().zip(TABLE).any(|(chosen, row)| *chosen && row.0 == TABLE[more].0);
        prop_assume!(!taken);
        let before = worst(&compare(&passport(), &changed(&by)));
        let mut with_more = by;
        with_more[more] = true;
        prop_assert!(worst(&compare(&passport(), &changed(&with_more))) >= before.max(TABLE[more].2));
    }

    #[test]
    fn a_passport_survives_json(by in choices()) {
        let passport = changed(&by);
        let back: Passport = serde_json::from_str(&serde_json::to_string(&passport).unwrap()).unwrap();
        prop_assert_eq!(back, passport);
    }
}
