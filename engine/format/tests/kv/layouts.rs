//! The state layouts: against bytes written by hand from llama.cpp's sources, and against the laws of parsing.

use intact_format::layout::{
    Container, GgmlType, LAYOUTS, Layout, LayoutError, MemoryShape, Rotation, Section, SectionShape, State,
    StreamShape, encode, encode_section, identify, parse, renumber,
};
use proptest::prelude::*;

use crate::generated::{self, Generated, states};

/// Little-endian words, one after the other.
macro_rules! bytes {
    ($($value:expr),* $(,)?) => {{
        let mut bytes: Vec<u8> = Vec::new();
        $(bytes.extend_from_slice(&$value.to_le_bytes());)*
        bytes
    }};
}

/// Two cells, one layer, K of two halves and V of one: as `llama_kv_cache::state_write` of b7119 writes sequence 3.
fn f16_state_of_b7119() -> Vec<u8> {
    bytes![
        1u32, // n_stream
        2u32, // cell_count
        0i32, 1u32, 3i32, // pos, n_seq_id, seq_id
        1i32, 1u32, 3i32, // pos, n_seq_id, seq_id
        0u32, 1u32, // v_trans, n_layer
        1i32, 4u64, 10u16, 11u16, 20u16, 21u16, // K: type, row size, one row per cell
        1i32, 2u64, 30u16, 31u16 // V: type, row size, one row per cell
    ]
}

#[test]
fn a_state_of_b7119_is_read_field_by_field() {
    let bytes = f16_state_of_b7119();
    let layout = Layout::of_crate(131).unwrap();
    let state = parse(&bytes, layout, &MemoryShape::dense(), Container::File).unwrap();
    assert_eq!(state.sequence, 3);
    assert_eq!(state.streams, StreamShape::SINGLE);
    let [Section::Attention(section)] = state.sections.as_slice() else { panic!("one attention section") };
    assert_eq!(section.cells.iter().map(|cell| cell.position).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(section.keys[0].kind, GgmlType::F16);
    assert_eq!(&*section.keys[0].blocks[0].bytes, bytes![10u16, 11u16, 20u16, 21u16]);
    assert_eq!(&*section.values[0].blocks[0].bytes, bytes![30u16, 31u16]);
    assert!(!section.transposed);
}

#[test]
fn the_same_state_is_written_for_every_release() {
    let old = f16_state_of_b7119();
    let mut state =
        parse(&old, Layout::of_crate(131).unwrap(), &MemoryShape::dense(), Container::File).unwrap();
    state.sequence = 0;
    let cells = bytes![2u32, 0i32, 1u32, 0i32, 1i32, 1u32, 0i32, 0u32, 1u32];
    let data = bytes![1i32, 4u64, 10u16, 11u16, 20u16, 21u16, 1i32, 2u64, 30u16, 31u16];
    let (prefix, streams, rotation) = (bytes![0xaf14_3cd8u32, 0i32], bytes![1u32], bytes![0u32, 0u32]);
    let expected = [
        ("b5485", vec![&cells, &data]),
        ("b5913", vec![&streams, &cells, &data]),
        ("b8215", vec![&streams, &cells, &data]),
        ("b8619", vec![&streams, &cells, &data]),
        ("b9028", vec![&prefix, &streams, &cells, &data]),
        ("0.4.1", vec![&prefix, &streams, &cells, &data]),
        ("0.6.0", vec![&prefix, &streams, &cells, &rotation, &data]),
    ];
    for (id, parts) in expected {
        let written = encode(&state, Layout::by_id(id).unwrap(), Container::Blob).unwrap();
        let parts: Vec<u8> = parts.into_iter().flatten().copied().collect();
        assert_eq!(written, parts, "{id}");
    }
}

#[test]
fn cell_extensions_are_two_words_and_later_three() {
    let shape =
        |bytes: &[u8], patch| identify(bytes, Layout::of_crate(patch).unwrap(), Container::File).unwrap();
    let row = bytes![0u32, 1u32, 1i32, 2u64, 7u16, 1i32, 2u64, 8u16];
    let two = [bytes![1u32, 1u32, 5i32, 1u32, 40i32, 50i32, 0i32], row.clone()].concat();
    let three = [bytes![1u32, 1u32, 5i32, 1u32, 40i32, 50i32, 99i32, 0i32], row].concat();
    for (bytes, patch) in [(two, 141), (three, 159)] {
        let shape = shape(&bytes, patch);
        let state = parse(&bytes, Layout::of_crate(patch).unwrap(), &shape, Container::File).unwrap();
        let [Section::Attention(section)] = state.sections.as_slice() else {
            panic!("one attention section")
        };
        let data = section.cells[0].extension.unwrap();
        assert_eq!((data.x, data.y, data.token), (40, 50, (patch == 159).then_some(99)));
    }
}

#[test]
fn transposed_values_have_one_row_per_element() {
    let bytes = bytes![
        1u32, 2u32, 0i32, 1u32, 0i32, 1i32, 1u32, 0i32, // two cells
        1u32, 1u32, // v_trans, n_layer
        1i32, 2u64, 1u16, 2u16, // K
        1i32, 2u32, 3u32, 10u16, 20u16, 11u16, 21u16, 12u16,
        22u16 // V: type, element size, elements, data
    ];
    let layout = Layout::of_crate(131).unwrap();
    let state = parse(&bytes, layout, &MemoryShape::dense(), Container::File).unwrap();
    let [Section::Attention(section)] = state.sections.as_slice() else { panic!("one attention section") };
    assert!(section.transposed);
    let second = Section::Attention(section.slice(1..2));
    let second = encode_section(&second, layout).unwrap();
    assert!(second.ends_with(&bytes![20u16, 21u16, 22u16]), "the second cell's three elements: {second:?}");
}

#[test]
fn a_recurrent_state_has_no_sequence_ids_and_all_first_rows_before_all_states() {
    let bytes = bytes![
        1u32, 9i32, 0u32, // cell_count, pos, n_seq_id
        0u32, 3u32, // s_trans, n_layer: one of the three has no recurrent state
        0i32, 4u64, 1.5f32, 0i32, 4u64, 2.5f32, // R rows
        0i32, 8u64, 3.5f32, 4.5f32, 0i32, 8u64, 5.5f32, 6.5f32 // S rows
    ];
    let layout = Layout::of_crate(156).unwrap();
    let shape = identify(&bytes, layout, Container::File).unwrap();
    let state = parse(&bytes, layout, &shape, Container::File).unwrap();
    let [Section::Recurrent(section)] = state.sections.as_slice() else { panic!("one recurrent section") };
    assert_eq!((section.model_layers, section.rows.len(), section.states.len()), (3, 2, 2));
    assert_eq!(&*section.states[1].blocks[0].bytes, bytes![5.5f32, 6.5f32]);
    assert_eq!(state.last_position(), Some(9));
}

#[test]
fn one_of_several_streams_is_moved_to_another() {
    let four = bytes![
        4u32, 0u32, 0u32, // four streams, two of them empty
        1u32, 0i32, 1u32, 2i32, 0u32, 1u32, 1i32, 2u64, 7u16, 1i32, 2u64, 8u16, // the third
        0u32  // the fourth
    ];
    let layout = Layout::of_crate(146).unwrap();
    let mut state = parse(&four, layout, &MemoryShape::dense(), Container::File).unwrap();
    assert_eq!(state.streams, StreamShape { count: 4, index: 2 });
    state.streams = StreamShape { count: 2, index: 0 };
    state.sequence = 0;
    let two = encode(&state, layout, Container::File).unwrap();
    let expected = bytes![2u32, 1u32, 0i32, 1u32, 0i32, 0u32, 1u32, 1i32, 2u64, 7u16, 1i32, 2u64, 8u16, 0u32];
    assert_eq!(two, expected);
}

#[test]
fn every_truncation_is_an_error_that_names_the_field_and_the_byte() {
    let bytes = f16_state_of_b7119();
    let layout = Layout::of_crate(131).unwrap();
    for length in 0..bytes.len() {
        let error = parse(&bytes[..length], layout, &MemoryShape::dense(), Container::File).unwrap_err();
        let LayoutError::Truncated { offset, .. } = error else { panic!("{length}: {error}") };
        assert!(offset <= length, "{length}: {error}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let error = parse(&longer, layout, &MemoryShape::dense(), Container::File).unwrap_err();
    assert_eq!(error, LayoutError::Trailing { offset: bytes.len(), bytes: 1 });
}

#[test]
fn counts_that_the_input_cannot_hold_are_refused_before_anything_is_allocated() {
    let layout = Layout::newest();
    for bytes in [
        bytes![1u32, u32::MAX],
        bytes![1u32, 1u32, 0i32, 1u32, 0i32, 0u32, u32::MAX, 0u32, 0u32],
        bytes![1u32, 1u32, 0i32, 1u32, 0i32, 0u32, 1u32, 0u32, 0u32, 1i32, u64::MAX - 1],
    ] {
        let error = parse(&bytes, layout, &MemoryShape::dense(), Container::File).unwrap_err();
        assert!(matches!(error, LayoutError::Truncated { .. } | LayoutError::Unexpected { .. }), "{error}");
    }
}

#[test]
fn a_rotated_state_is_not_written_for_a_release_without_rotation() {
    let mut state = generated::dense(Layout::newest(), 3, 1);
    let Section::Attention(section) = &mut state.sections[0] else { panic!("attention") };
    section.rotation = Some(Rotation { keys: 64, values: 64 });
    let error = encode(&state, Layout::of_crate(141).unwrap(), Container::File).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layout b8215 cannot represent rotated K or V; evaluate the tokens again instead"
    );
}

fn unrotated(mut state: State<'_>) -> State<'_> {
    for section in &mut state.sections {
        if let Section::Attention(section) = section {
            section.rotation = Some(Rotation::default());
        }
    }
    state
}

fn tensors<'a>(state: &'a State<'_>) -> Vec<&'a [u8]> {
    let matrices = state.sections.iter().flat_map(|section| match section {
        Section::Attention(section) => section.keys.iter().chain(&section.values),
        Section::Recurrent(section) => section.rows.iter().chain(&section.states),
    });
    matrices.flat_map(|matrix| &matrix.blocks).map(|block| &*block.bytes).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(Generated { layout, container, state } in states()) {
        let bytes = encode(&state, layout, container).unwrap();
        let read = parse(&bytes, layout, &state.shape(), container).unwrap();
        prop_assert_eq!(&read, &state);
        prop_assert_eq!(encode(&read, layout, container).unwrap(), bytes);
    }

    #[test]
    fn the_shape_is_found_from_the_bytes(Generated { layout, container, state } in states()) {
        let bytes = encode(&state, layout, container).unwrap();
        match identify(&bytes, layout, container) {
            Ok(shape) => prop_assert_eq!(shape, state.shape()),
            Err(error) => prop_assert!(matches!(error, LayoutError::Ambiguous { .. }), "{}", error),
        }
    }

    #[test]
    fn a_slice_of_a_slice_and_the_join_of_slices_lose_nothing(
        Generated { layout, state, .. } in states(),
        cuts in prop::collection::vec(0usize..40, 1..4),
    ) {
        for section in &state.sections {
            let Section::Attention(whole) = section else { continue };
            let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&whole.cells.len())).collect();
            cuts.extend([0, whole.cells.len()]);
            cuts.sort_unstable();
            let mut joined = whole.slice(0..0);
            for pair in cuts.windows(2) {
                let tail = whole.slice(pair[0]..whole.cells.len());
                joined.join(tail.slice(0..pair[1] - pair[0])).unwrap();
            }
            let write = |section| encode_section(&Section::Attention(section), layout).unwrap();
            prop_assert_eq!(write(joined), write(whole.clone()));
        }
    }

    #[test]
    fn a_state_that_another_release_can_represent_comes_back_from_it(
        Generated { layout, state, .. } in states(),
        other in 0..LAYOUTS.len(),
    ) {
        let state = unrotated(state);
        let Ok(bytes) = encode(&state, &LAYOUTS[other], Container::File) else { return Ok(()) };
        let back = unrotated(parse(&bytes, &LAYOUTS[other], &state.shape(), Container::File).unwrap());
        prop_assert_eq!(tensors(&back), tensors(&state));
        if layout.cell_extension == LAYOUTS[other].cell_extension {
            prop_assert_eq!(back.sections, state.sections);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_to_their_end(
        Generated { layout, container, state } in states(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = encode(&state, layout, container).unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        if let Ok(read) = parse(&bytes, layout, &state.shape(), container) {
            prop_assert_eq!(encode(&read, layout, container).unwrap(), bytes.clone());
        }
        let _ = identify(&bytes, layout, container);
    }
}

#[test]
fn a_state_is_given_to_another_sequence_in_place() {
    for layout in &LAYOUTS {
        for cells in [1, 2, 30] {
            let mut state = generated::dense(layout, cells, 7);
            let SectionShape::Attention(shape) = state.sections[0].shape() else { panic!("attention") };
            state.sequence = 5;
            let mut bytes = encode(&state, layout, Container::Blob).unwrap();
            state.sequence = 0;
            let expected = encode(&state, layout, Container::Blob).unwrap();
            let prefix = renumber(&mut bytes, layout, shape, 0).unwrap();
            assert!(bytes == expected, "{}", layout.id);
            let payload = encode_section(&state.sections[0], layout).unwrap();
            assert!(
                bytes[prefix..] == payload,
                "{}: the payload of its chunk is behind the prefix",
                layout.id
            );
            let end = prefix + 8;
            assert!(renumber(&mut bytes[..end], layout, shape, 0).is_err(), "{}: cut short", layout.id);
        }
    }
}
