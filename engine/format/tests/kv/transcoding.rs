//! Bringing a state into the form of another memory: bytes that move stay what they are, numbers stay near, and nothing is
//! rotated by guess.

use intact_format::adoption::apart;
use intact_format::image::{CutOptions, cut};
use intact_format::layout::{
    Attention, AttentionShape, CacheFormat, Cell, CellData, Container, ConvertError, GgmlType, LAYOUTS,
    Layout, MemoryShape, Rotation, RotationRule, Section, SectionShape, State, StreamShape, encode, parse,
};
use intact_format::token::Token;
use intact_format::transcode::{Geometry, TranscodeError, Transcoded, holds, image};
use proptest::prelude::*;

use crate::generated::{Noise, dense};

const NO_ROTATION: Rotation = Rotation { keys: 0, values: 0 };
const ROTATION: Rotation = Rotation { keys: 128, values: 64 };

/// A state of 2 layers with rows of 128 sound numbers, as a release with this layout stores it.
pub(crate) fn state(
    layout: &'static Layout,
    cells: usize,
    kind: GgmlType,
    rotation: Rotation,
) -> State<'static> {
    let mut state = dense(layout, cells, 7);
    let mut noise = Noise(cells as u64);
    let Section::Attention(section) = &mut state.sections[0] else { panic!("attention") };
    for matrix in section.keys.iter_mut().chain(&mut section.values) {
        let numbers = (0..cells * 128).map(|_| f32::from(noise.byte()) / 64.0 - 2.0);
        matrix.kind = GgmlType::F32;
        matrix.order = intact_format::layout::Order::ByCell { row_bytes: 512 };
        matrix.blocks[0].bytes = numbers.flat_map(f32::to_le_bytes).collect::<Vec<_>>().into();
    }
    section.rotation = Some(NO_ROTATION);
    let wanted = CacheFormat { keys: kind, values: kind, rotation, transposed: false };
    let Section::Attention(section) = state.sections.remove(0) else { panic!("attention") };
    let (section, _) = section.converted(&wanted).expect("the types convert");
    State { sections: vec![Section::Attention(section)], ..state }
}

fn attention<'s, 'a>(state: &'s State<'a>) -> &'s Attention<'a> {
    let Section::Attention(section) = &state.sections[0] else { panic!("attention") };
    section
}

fn format(kind: GgmlType, rotation: Rotation, transposed: bool) -> CacheFormat {
    CacheFormat { keys: kind, values: kind, rotation, transposed }
}

fn transcoded<'a>(
    state: &State<'a>,
    layout: &'static Layout,
    wanted: CacheFormat,
) -> Result<Transcoded<'a>, TranscodeError> {
    let shape = state.shape();
    let formats = [wanted];
    let here =
        Geometry { layout, shape: &shape, formats: &formats, streams: StreamShape::SINGLE, tokens: &[] };
    image(state.clone(), &here)
}

#[test]
fn a_state_goes_into_every_layout_and_is_read_there() {
    for from in &LAYOUTS {
        for to in &LAYOUTS {
            let saved = state(from, 9, GgmlType::F16, NO_ROTATION);
            let there = transcoded(&saved, to, format(GgmlType::F16, NO_ROTATION, false)).unwrap();
            assert!(there.distances.is_exact());
            let bytes = encode(&there.state, to, Container::Blob).unwrap();
            let read = parse(&bytes, to, &saved.shape(), Container::Blob).unwrap();
            assert_eq!(attention(&read).keys, attention(&saved).keys, "{} to {}", from.id, to.id);
            assert_eq!(attention(&read).values, attention(&saved).values, "{} to {}", from.id, to.id);
        }
    }
}

#[test]
fn a_quantized_state_crosses_the_rotation_change_and_comes_back() {
    let (old, new) = (Layout::of_crate(141).unwrap(), Layout::newest());
    for (kind, most) in [(GgmlType::Q8_0, 1e-4), (GgmlType::Q4_0, 2e-2)] {
        let saved = state(old, 30, kind, NO_ROTATION);
        let there = transcoded(&saved, new, format(kind, ROTATION, false)).unwrap();
        assert_eq!(attention(&there.state).rotation, Some(ROTATION));
        let nmse = there.distances.keys.nmse();
        assert!(nmse > 0.0 && nmse < most, "{kind}: {nmse}");
        let back = transcoded(&there.state, old, format(kind, NO_ROTATION, false)).unwrap();
        let nmse = back.distances.values.nmse();
        assert!(nmse < most, "{kind}: {nmse}");
        let refused = encode(&there.state, old, Container::Blob).unwrap_err().to_string();
        assert!(refused.contains("rotated"), "{refused}");
    }
}

#[test]
fn a_quantized_state_whose_rotation_nobody_knows_is_not_touched() {
    let silent = Layout::of_crate(146).unwrap();
    let mut saved = state(silent, 5, GgmlType::Q8_0, NO_ROTATION);
    let Section::Attention(section) = &mut saved.sections[0] else { panic!("attention") };
    section.rotation = None;
    let refused = transcoded(&saved, Layout::newest(), format(GgmlType::Q8_0, ROTATION, false));
    assert_eq!(refused.unwrap_err(), TranscodeError::Convert(ConvertError::UnknownRotation));
}

/// One or two caches without V, and the rotation that each declares.
fn keys_only(layout: &'static Layout, kind: GgmlType, rotations: &[Option<Rotation>]) -> State<'static> {
    let mut whole = state(layout, 4, kind, NO_ROTATION);
    let Section::Attention(section) = whole.sections.remove(0) else { panic!("attention") };
    let shape = AttentionShape { extended_cells: false, values: false };
    let cache =
        |rotation| Section::Attention(Attention { shape, values: Vec::new(), rotation, ..section.clone() });
    whole.sections = rotations.iter().copied().map(cache).collect();
    whole
}

#[test]
fn caches_without_v_are_rotated_by_no_guess() {
    let newest = Layout::newest();
    let sixty_four = Rotation { keys: 64, values: 64 };
    let convert = |saved: &State<'static>, layout, kind, rotation| {
        let (shape, formats) = (saved.shape(), vec![format(kind, rotation, false); saved.sections.len()]);
        let here =
            Geometry { layout, shape: &shape, formats: &formats, streams: StreamShape::SINGLE, tokens: &[] };
        image(saved.clone(), &here)
    };
    for rotation in [None, Some(NO_ROTATION), Some(sixty_four)] {
        let latent = keys_only(newest, GgmlType::Q8_0, &[rotation]);
        let there = convert(&latent, newest, GgmlType::Q8_0, sixty_four).unwrap();
        assert!(there.distances.is_exact(), "latent attention is never rotated, whatever is recorded");
        assert_eq!(attention(&there.state).keys, attention(&latent).keys);
    }
    let silent = Layout::of_crate(156).unwrap();
    let unknown = keys_only(silent, GgmlType::F16, &[None, None]);
    assert!(convert(&unknown, newest, GgmlType::F16, NO_ROTATION).is_ok());
    assert!(convert(&unknown, silent, GgmlType::F16, NO_ROTATION).unwrap().distances.is_exact());
    let refused = convert(&unknown, newest, GgmlType::F16, sixty_four).unwrap_err();
    assert_eq!(refused, TranscodeError::Convert(ConvertError::UnknownRotation), "an indexer may be rotated");
    let recorded = keys_only(newest, GgmlType::F16, &[Some(NO_ROTATION), Some(sixty_four)]);
    assert!(convert(&recorded, newest, GgmlType::F16, NO_ROTATION).is_err());
}

#[test]
fn memories_of_other_kinds_are_refused_with_both() {
    let saved = state(Layout::newest(), 3, GgmlType::F16, NO_ROTATION);
    let wanted = [format(GgmlType::F16, NO_ROTATION, false)];
    let keys = SectionShape::Attention(AttentionShape { extended_cells: false, values: false });
    for sections in [vec![], vec![keys.clone()], vec![keys.clone(), keys]] {
        let shape = MemoryShape { sections };
        let here = Geometry {
            layout: Layout::newest(),
            shape: &shape,
            formats: &wanted,
            streams: StreamShape::SINGLE,
            tokens: &[],
        };
        let refused = image(saved.clone(), &here).unwrap_err();
        let TranscodeError::Shape { why, .. } = &refused else { panic!("{refused}") };
        assert_eq!(why.contains("latent attention (MLA)"), here.shape.sections.len() == 1, "{refused}");
    }
}

#[test]
fn cells_get_the_tokens_that_their_old_layout_had_no_room_for() {
    let mut saved = state(Layout::of_crate(113).unwrap(), 3, GgmlType::F16, NO_ROTATION);
    let shape = MemoryShape {
        sections: vec![SectionShape::Attention(AttentionShape { extended_cells: true, values: true })],
    };
    let wanted = [format(GgmlType::F16, NO_ROTATION, false)];
    let tokens = [Token(11), Token(12)];
    let streams = StreamShape::SINGLE;
    let newest =
        Geometry { layout: Layout::newest(), shape: &shape, formats: &wanted, streams, tokens: &tokens };
    let there = image(saved.clone(), &newest).unwrap().state;
    let cell =
        |position, token| Cell { position, extension: Some(CellData { x: position, y: position, token }) };
    assert_eq!(attention(&there).cells, [cell(0, Some(11)), cell(1, Some(12)), cell(2, None)]);
    let Section::Attention(section) = &mut saved.sections[0] else { panic!("attention") };
    section.cells[0].extension = Some(CellData { x: 5, y: 6, token: Some(7) });
    let kept = image(saved, &newest).unwrap().state;
    assert_eq!(attention(&kept).cells[0].extension, Some(CellData { x: 5, y: 6, token: Some(7) }));
}

#[test]
fn what_was_transcoded_can_be_cut_and_read_like_any_other() {
    let silent = Layout::of_crate(146).unwrap();
    let saved = state(Layout::of_crate(141).unwrap(), 20, GgmlType::Q8_0, NO_ROTATION);
    let there = transcoded(&saved, silent, format(GgmlType::Q8_0, ROTATION, false)).unwrap();
    let cut = cut(&there.state, silent, CutOptions { chunk_tokens: 8, drop_last: false }).unwrap();
    let intact_format::image::ImageReference::Cells(reference) = &cut.reference else { panic!("cells") };
    assert_eq!(
        reference.sections[0].rotation,
        Some(ROTATION),
        "kept in the document where the bytes do not tell"
    );
    let read = intact_format::image::state(reference, &cut.chunks).unwrap();
    assert_eq!(attention(&read).rotation, Some(ROTATION));
    assert_eq!(attention(&read).cells.len(), 20);
    assert_eq!(silent.rotation, RotationRule::Silent);
}

/// A full cache and a window cache.
fn windowed() -> State<'static> {
    let mut both = state(Layout::newest(), 12, GgmlType::F16, NO_ROTATION);
    both.sections.push(both.sections[0].clone());
    both
}

fn with_second(change: impl FnOnce(&Attention<'static>) -> Attention<'static>) -> State<'static> {
    let mut state = windowed();
    let Section::Attention(section) = &state.sections[1] else { panic!("attention") };
    state.sections[1] = Section::Attention(change(section));
    state
}

fn joined(first: Attention<'static>, second: Attention<'static>) -> Attention<'static> {
    let mut joined = first;
    joined.join(second).expect("slices of one section");
    joined
}

#[test]
fn a_window_cache_may_lose_what_its_window_has_passed_and_nothing_else() {
    let newest = Layout::newest();
    let given = windowed();
    assert!(holds(&given, &given, newest));
    assert!(holds(&given, &with_second(|window| window.slice(4..12)), newest));
    assert!(!holds(&given, &with_second(|window| window.slice(0..8)), newest), "the newest cells");
    assert!(!holds(&given, &with_second(|window| window.slice(0..0)), newest), "all of them");
    let gap = with_second(|window| joined(window.slice(4..7), window.slice(8..12)));
    assert!(!holds(&given, &gap, newest), "one in the middle");
    let mut full = windowed();
    full.sections[0] = Section::Attention(attention(&full).slice(4..12));
    assert!(!holds(&given, &full, newest), "a cache that sees everything");
    let other = with_second(|window| {
        let mut other = window.slice(4..12);
        other.keys[1].blocks[0].bytes.to_mut()[6 * 256] ^= 1;
        other
    });
    assert!(!holds(&given, &other, newest), "a number that changed");
    // A ring that has wrapped around: the newest cells come first.
    let wrapped = with_second(|window| joined(window.slice(8..12), window.slice(0..8)));
    let shorter = with_second(|window| joined(window.slice(8..12), window.slice(5..8)));
    assert!(holds(&wrapped, &shorter, newest));
    assert!(!holds(&given, &shorter, newest), "in another order");
}

#[test]
fn the_first_layer_is_known_where_every_cache_has_cells_in_common() {
    let given = windowed();
    let first = |other: &State<'_>| apart(&given, other).expect("one model").first;
    let changed = |section: &Attention<'static>| {
        let mut other = section.slice(0..12);
        other.keys[0].blocks[0].bytes.to_mut()[1] ^= 1;
        other
    };
    assert_eq!(first(&given), Some(0.0));
    let window = with_second(changed);
    assert_eq!(first(&window), Some(0.0), "the other cache may be the one that has it");
    let mut both = window;
    both.sections[0] = Section::Attention(changed(attention(&given)));
    assert!(first(&both).is_some_and(|error| error > 0.0), "one of them has it");
    let passed = with_second(|window| window.slice(0..4));
    let passed = apart(&passed, &with_second(|window| window.slice(8..12))).expect("one model");
    assert_eq!(passed.first, None, "it may be in the window, of which nothing is left to compare");
    assert_eq!(passed.cells, 12, "those of the other cache");
}

proptest! {
    /// Whatever a wider or equal form holds comes back exactly; everything else near what it was.
    #[test]
    fn there_and_back_is_near_where_it_was(
        cells in 1usize..20,
        from in 0usize..5,
        to in 0usize..5,
        rotations in any::<[bool; 2]>(),
        transposed in any::<bool>(),
    ) {
        const KINDS: [GgmlType; 5] = [GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0];
        let (from, to) = (KINDS[from], KINDS[to]);
        let rotation = |kind: GgmlType, rotated: bool| if rotated && kind.is_quantized() { ROTATION } else { NO_ROTATION };
        let (before, after) = (rotation(from, rotations[0]), rotation(to, rotations[1]));
        let newest = Layout::newest();
        let saved = state(newest, cells, from, before);
        let there = transcoded(&saved, newest, format(to, after, transposed && !to.is_quantized())).unwrap();
        let back = transcoded(&there.state, newest, format(from, before, false)).unwrap();
        let coarsest = [from, to].map(|kind| match kind {
            GgmlType::F32 => 1e-12_f64,
            GgmlType::F16 => 1e-6,
            GgmlType::BF16 => 1e-5,
            GgmlType::Q8_0 => 2e-4,
            _ => 3e-2,
        });
        let most = coarsest[0].max(coarsest[1]);
        for distances in [there.distances, back.distances] {
            prop_assert!(distances.keys.nmse() <= most, "{} to {}: {}", from, to, distances.keys.nmse());
            prop_assert!(distances.values.nmse() <= most, "{} to {}: {}", from, to, distances.values.nmse());
        }
        if before == after && (from == to || (to == GgmlType::F32 && from != GgmlType::F32)) {
            prop_assert!(there.distances.is_exact());
        }
        if from == to && before == after {
            prop_assert_eq!(back.state, saved);
        }
    }
}
