//! Converting what a cache stores: moves of bytes are exact, conversions of numbers are as close as their type allows.

use std::borrow::Cow;

use intact_format::layout::{
    Attention, Block, CacheFormat, ConvertError, GgmlType, Layout, Matrix, Order, Rotation, RotationRule,
    Section, StreamShape,
};
use intact_format::transcode::{self, Geometry, TranscodeError, Transcoded};
use proptest::prelude::*;

use crate::generated::{Noise, dense};

/// A cache of 2 layers whose rows are 128 numbers like those of real K and V: near normal, with a few outliers.
fn cache(cells: usize, seed: u64) -> Attention<'static> {
    let mut state = dense(Layout::newest(), cells, seed);
    let Section::Attention(mut section) = state.sections.remove(0) else { panic!("attention") };
    let mut noise = Noise(seed);
    for matrix in section.keys.iter_mut().chain(&mut section.values) {
        let numbers = (0..cells * 128).map(|index| {
            let sum: f32 = (0..4).map(|_| f32::from(noise.byte()) / 255.0 - 0.5).sum();
            if index % 61 == 0 { sum * 12.0 } else { sum }
        });
        let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
        *matrix = Matrix {
            kind: GgmlType::F32,
            order: Order::ByCell { row_bytes: 512 },
            blocks: vec![Block { bytes: Cow::Owned(bytes), stored_cells: cells, cells: 0..cells }],
        };
    }
    section.rotation = Some(Rotation::default());
    section
}

const PLAIN: CacheFormat = CacheFormat {
    keys: GgmlType::F32,
    values: GgmlType::F32,
    rotation: Rotation { keys: 0, values: 0 },
    transposed: false,
};

fn of_type(kind: GgmlType) -> CacheFormat {
    CacheFormat { keys: kind, values: kind, ..PLAIN }
}

fn rotated(kind: GgmlType) -> CacheFormat {
    CacheFormat { rotation: Rotation { keys: 128, values: 64 }, ..of_type(kind) }
}

#[test]
fn each_type_costs_what_its_bits_say() {
    // (type, at least, at most): normalised mean squared error of K.
    let table = [
        (GgmlType::F32, 0.0, 0.0),
        (GgmlType::F16, 1e-9, 1e-6),
        (GgmlType::BF16, 1e-7, 1e-5),
        (GgmlType::Q8_0, 1e-6, 2e-4),
        (GgmlType::Q4_0, 1e-3, 4e-2),
    ];
    for (kind, least, most) in table {
        let distances = cache(40, 1).convert(&of_type(kind)).unwrap().distances;
        let nmse = distances.keys.nmse();
        assert!((least..=most).contains(&nmse), "{kind}: {nmse}");
        assert_eq!(distances.is_exact(), kind == GgmlType::F32, "{kind}");
    }
}

#[test]
fn rotation_spreads_outliers_and_so_makes_quantization_cheaper() {
    let cost = |format| cache(40, 1).convert(&format).unwrap().distances.keys.nmse();
    let (plain, rotated) = (cost(of_type(GgmlType::Q4_0)), cost(rotated(GgmlType::Q4_0)));
    assert!(rotated < plain / 2.0, "{rotated} rotated, {plain} plain");
}

#[test]
fn a_quantized_cache_crosses_the_rotation_change_and_back_within_the_cost_of_its_type() {
    for (kind, most) in [(GgmlType::Q8_0, 1e-4), (GgmlType::Q4_0, 4e-2)] {
        let old = cache(40, 1).convert(&of_type(kind)).unwrap().section;
        let new = old.convert(&rotated(kind)).unwrap();
        assert!(
            new.distances.keys.nmse() < most && new.distances.values.nmse() < most,
            "{kind}: {:?}",
            new.distances
        );
        let back = new.section.convert(&of_type(kind)).unwrap();
        assert!(back.distances.keys.nmse() < most, "{kind}: {:?}", back.distances);
        let unconverted = Attention { rotation: Some(Rotation { keys: 128, values: 64 }), ..old };
        assert_ne!(new.section, unconverted, "the bytes as they were mean something else");
    }
}

#[test]
fn releases_rotate_quantized_heads_of_multiples_of_64() {
    let (f16, q8) = (GgmlType::F16, GgmlType::Q8_0);
    // (types, head sizes, rotation)
    let table = [
        ([q8, q8], [64, 64], (64, 64)),
        ([q8, q8], [128, 128], (128, 64)),
        ([q8, q8], [192, 128], (64, 64)),
        ([q8, q8], [256, 256], (256, 64)),
        ([q8, q8], [576, 512], (64, 64)),
        ([q8, q8], [96, 32], (0, 0)),
        ([q8, q8], [0, 0], (0, 0)),
        ([q8, f16], [64, 64], (64, 0)),
        ([f16, f16], [64, 64], (0, 0)),
    ];
    for (kinds, heads, (keys, values)) in table {
        for rule in [RotationRule::Silent, RotationRule::Recorded] {
            assert_eq!(
                Rotation::expected(rule, kinds, heads),
                Rotation { keys, values },
                "{kinds:?} {heads:?}"
            );
        }
        assert_eq!(Rotation::expected(RotationRule::Never, kinds, heads), Rotation::default());
    }
}

#[test]
fn what_cannot_be_converted_is_refused_by_name() {
    let message = |section: &Attention<'_>, format| section.convert(&format).unwrap_err().to_string();
    let mut section = cache(3, 1);
    let iq4 = GgmlType::by_name("iq4_nl").unwrap();
    assert_eq!(
        message(&section, of_type(iq4)),
        "f32 cannot be converted to iq4_nl; f32, f16, bf16, q8_0 and q4_0 can"
    );
    let transposed = CacheFormat { transposed: true, ..of_type(GgmlType::Q8_0) };
    assert_eq!(message(&section, transposed), "q8_0 cannot be stored transposed: it is quantized");
    let wide = CacheFormat { rotation: Rotation { keys: 256, values: 0 }, ..of_type(GgmlType::Q8_0) };
    assert!(matches!(section.convert(&wide), Err(ConvertError::Blocks { elements: 128, block: 256, .. })));
    section = section.convert(&of_type(GgmlType::Q8_0)).unwrap().section;
    section.rotation = None;
    assert_eq!(section.convert(&PLAIN).unwrap_err(), ConvertError::UnknownRotation);
}

#[test]
fn a_state_is_converted_cache_by_cache() {
    let mut state = dense(Layout::newest(), 5, 1);
    state.sections = vec![Section::Attention(cache(5, 1)), Section::Attention(cache(3, 2))];
    let formats = [of_type(GgmlType::F16), PLAIN];
    let shape = state.shape();
    let transcoded = |formats: &[CacheFormat]| {
        let (layout, streams) = (Layout::newest(), StreamShape::SINGLE);
        transcode::image(state.clone(), &Geometry { layout, shape: &shape, formats, streams, tokens: &[] })
    };
    let Transcoded { state: converted, distances } = transcoded(&formats).unwrap();
    let found: Vec<_> = converted
        .sections
        .iter()
        .filter_map(|section| match section {
            Section::Attention(section) => section.format(),
            Section::Recurrent(_) => None,
        })
        .collect();
    assert_eq!(found, formats);
    assert!(distances.keys.nmse() > 0.0);
    assert_eq!(converted.sections[1], state.sections[1], "what needs no conversion keeps its bytes");
    for formats in [&formats[..1], &[PLAIN; 3]] {
        assert_eq!(transcoded(formats), Err(TranscodeError::Convert(ConvertError::Sections)));
    }
}

proptest! {
    #[test]
    fn transposition_moves_every_value_and_changes_none(cells in 1usize..80, seed in any::<u64>(), cut in 0usize..80) {
        let whole = cache(cells, seed);
        let cut = cut.min(cells);
        let mut joined = whole.slice(0..cut);
        joined.join(whole.slice(cut..cells)).unwrap();
        let there = joined.convert(&CacheFormat { transposed: true, ..PLAIN }).unwrap();
        prop_assert!(there.distances.is_exact());
        let by_element = |value: &Matrix<'_>| matches!(value.order, Order::ByElement { .. });
        prop_assert!(there.section.values.iter().all(by_element));
        let back = there.section.slice(0..cells).convert(&PLAIN).unwrap();
        prop_assert_eq!(back.section, whole);
    }

    #[test]
    fn what_a_wider_type_holds_comes_back_exactly(cells in 1usize..20, seed in any::<u64>()) {
        for (narrow, wide) in [(GgmlType::F16, GgmlType::F32), (GgmlType::BF16, GgmlType::F32)] {
            let stored = cache(cells, seed).convert(&of_type(narrow)).unwrap().section;
            let there = stored.convert(&of_type(wide)).unwrap();
            prop_assert!(there.distances.is_exact());
            prop_assert_eq!(there.section.convert(&of_type(narrow)).unwrap().section, stored);
        }
    }
}
