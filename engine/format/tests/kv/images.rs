//! Images: cutting a state and putting it together again.

use std::borrow::Cow;

use intact_format::image::{
    Chunk, Cut, CutOptions, CutPlan, ImageError, ImageReference, Target, assemble, cut, cut_opaque, state,
};
use intact_format::layout::{Container, Layout, Section, State, StreamShape, encode, parse_located};
use proptest::prelude::*;

use crate::generated::{Generated, Noise, dense, recurrent, states};

fn cells(reference: &ImageReference) -> &intact_format::image::CellImage {
    match reference {
        ImageReference::Cells(image) => image,
        ImageReference::Opaque(_) => panic!("an image of cells"),
    }
}

fn cut_every(state: &State<'_>, chunk_tokens: u32) -> Cut<'static> {
    cut(state, Layout::newest(), CutOptions { chunk_tokens, drop_last: false }).expect("the state can be cut")
}

#[test]
fn a_longer_save_of_the_same_session_adds_only_the_chunks_that_changed() {
    let long = dense(Layout::newest(), 700, 7);
    let mut short = long.clone();
    let Section::Attention(section) = &mut short.sections[0] else { panic!("attention") };
    *section = section.slice(0..600);
    let (short, long) = (cut_every(&short, 256), cut_every(&long, 256));
    let lengths = |cut: &Cut<'_>| -> Vec<_> {
        cells(&cut.reference).sections[0].chunks.iter().map(|chunk| (chunk.first_cell, chunk.cells)).collect()
    };
    assert_eq!(lengths(&short), [(0, 256), (256, 256), (512, 88)]);
    assert_eq!(lengths(&long), [(0, 256), (256, 256), (512, 188)]);
    assert_eq!(short.chunks[..2], long.chunks[..2]);
    assert_ne!(short.chunks[2], long.chunks[2]);
}

#[test]
fn a_dense_chunk_behind_the_blob_prefix_is_a_state_of_its_own() {
    let layout = Layout::newest();
    let whole = cut_every(&dense(layout, 10, 3), 4);
    let Section::Attention(section) = &dense(layout, 10, 3).sections[0] else { panic!("attention") };
    let second = State {
        sequence: 0,
        streams: StreamShape::SINGLE,
        sections: vec![Section::Attention(section.slice(4..8))],
    };
    let blob = encode(&second, layout, Container::Blob).unwrap();
    assert_eq!(&blob[8..], whole.chunks[1].payload());
}

#[test]
fn the_last_cell_is_left_out_when_asked() {
    let state = dense(Layout::newest(), 5, 1);
    let cut = cut(&state, Layout::newest(), CutOptions { drop_last: true, ..CutOptions::default() }).unwrap();
    let image = cells(&cut.reference);
    assert_eq!((image.cells(), image.last_position()), (4, 3));
}

#[test]
fn a_state_whose_last_position_is_shared_or_not_last_keeps_its_last_cell() {
    let options = CutOptions { drop_last: true, ..CutOptions::default() };
    for positions in [[0, 1, 1], [0, 2, 1]] {
        let mut state = dense(Layout::newest(), 3, 1);
        let Section::Attention(section) = &mut state.sections[0] else { panic!("attention") };
        for (cell, position) in section.cells.iter_mut().zip(positions) {
            cell.position = position;
        }
        assert_eq!(cut(&state, Layout::newest(), options), Err(ImageError::Untrimmable), "{positions:?}");
    }
}

#[test]
fn a_window_that_moved_on_has_the_same_chunks_between_its_ends() {
    let whole = dense(Layout::newest(), 900, 7);
    let window = |cells| {
        let mut state = whole.clone();
        let Section::Attention(section) = &mut state.sections[0] else { panic!("attention") };
        *section = section.slice(cells);
        cut_every(&state, 256)
    };
    let (before, after) = (window(100..800), window(200..900));
    let cells_of = |cut: &Cut<'_>| -> Vec<_> {
        cells(&cut.reference).sections[0].chunks.iter().map(|chunk| chunk.cells).collect()
    };
    assert_eq!((cells_of(&before), cells_of(&after)), (vec![156, 256, 256, 32], vec![56, 256, 256, 132]));
    assert_eq!(before.chunks[1..3], after.chunks[1..3]);
    assert_eq!(cells_of(&window(300..301)), [1]);
}

#[test]
fn the_end_of_a_sequence_cut_behind_what_was_kept_is_the_sequence_cut_anew() {
    let layout = Layout::newest();
    let mut whole = dense(layout, 700, 7);
    whole.sections.push(recurrent(layout, 5));
    let all = cut_every(&whole, 256);
    let chunks = &cells(&all.reference).sections[0].chunks;
    for kept in 0..chunks.len() {
        let from = chunks[kept].first_cell as usize;
        let mut end = whole.clone();
        let Section::Attention(section) = &mut end.sections[0] else { panic!("attention") };
        *section = section.slice(from..700);
        let options = CutOptions { chunk_tokens: 256, drop_last: false };
        let plan = CutPlan::of(&end, layout, options).expect("a plan").behind(&chunks[..kept]);
        let new = (0..plan.chunks()).map(|at| Chunk::new(plan.payload(at).expect("a payload")));
        let new: Vec<_> = new.collect();
        assert_eq!(new, all.chunks[kept..], "{kept} chunks are kept");
        let named: Vec<_> = new.iter().map(Chunk::entry).collect();
        assert_eq!(plan.reference(&named).expect("an image"), all.reference, "{kept} chunks are kept");
    }
}

#[test]
fn recurrent_state_and_a_section_without_cells_are_one_chunk() {
    let mut state = dense(Layout::newest(), 3, 1);
    let Section::Attention(section) = &mut state.sections[0] else { panic!("attention") };
    *section = section.slice(0..0);
    state.sections.push(recurrent(Layout::newest(), 5));
    assert_eq!(cut_every(&state, 1).chunks.len(), 2);
}

#[test]
fn an_image_whose_reference_was_edited_is_refused() {
    let whole = cut_every(&dense(Layout::newest(), 10, 3), 4);
    let target = Target::blob(Layout::newest());
    type Edit = fn(&mut intact_format::image::CellImage);
    let edits: [(&str, Edit); 8] = [
        ("layout", |image| image.layout = "0.9.9".to_owned()),
        ("cells", |image| image.sections[0].cells = 9),
        ("last position", |image| image.sections[0].last_position = 10),
        ("transposed", |image| image.sections[0].transposed = true),
        ("order", |image| image.sections[0].chunks.swap(0, 1)),
        ("a chunk less", |image| image.sections[0].chunks.truncate(2)),
        ("a chunk twice", |image| {
            let chunk = image.sections[0].chunks[2].clone();
            image.sections[0].chunks.push(chunk);
        }),
        ("shape", |image| image.shape.sections.clear()),
    ];
    for (what, edit) in edits {
        let mut reference = whole.reference.clone();
        let ImageReference::Cells(image) = &mut reference else { panic!("an image of cells") };
        edit(image);
        assert!(assemble(&reference, &whole.chunks, &target).is_err(), "{what}");
    }
    let missing = assemble(&whole.reference, &whole.chunks[1..], &target);
    assert_eq!(missing, Err(ImageError::Missing { id: whole.chunks[0].id() }));
}

#[test]
fn a_payload_is_only_taken_under_its_own_id() {
    let chunk = Chunk::new(b"kv".to_vec());
    assert!(Chunk::verified(chunk.id(), b"kv".to_vec()).is_ok());
    let error = Chunk::verified(chunk.id(), b"vk".to_vec()).unwrap_err();
    assert_eq!((error.wanted, error.found), (chunk.id(), Chunk::new(b"vk".to_vec()).id()));
}

#[test]
fn an_opaque_image_goes_back_as_it_is_and_nowhere_else() {
    let mut noise = Noise(1);
    let varied: Vec<u8> = (0..20 << 20).map(|_| noise.byte()).collect();
    for (blob, pieces) in [(varied, 3), (vec![42; 20 << 20], 1), (Vec::new(), 0)] {
        let cut = cut_opaque(&blob, "a layout of the future");
        assert_eq!(cut.chunks.len(), pieces);
        assert!(assemble(&cut.reference, &cut.chunks, &Target::blob(Layout::newest())).unwrap() == blob);
        let file = Target { container: Container::File, ..Target::blob(Layout::newest()) };
        assert_eq!(assemble(&cut.reference, &cut.chunks, &file), Err(ImageError::Opaque));
    }
}

#[test]
fn an_image_cannot_ask_for_the_same_chunk_over_and_over() {
    let mut cut = cut_opaque(&[1; 1000], "a layout of the future");
    let ImageReference::Opaque(image) = &mut cut.reference else { panic!("an opaque image") };
    image.chunks = std::iter::repeat_n(image.chunks[0].clone(), 1_000_000).collect();
    image.bytes = 1_000_000_000;
    let error = assemble(&cut.reference, &cut.chunks, &Target::blob(Layout::newest())).unwrap_err();
    assert!(matches!(error, ImageError::Reference { .. }), "{error}");
}

#[test]
fn a_reference_survives_its_document_and_unknown_fields_do_not() {
    let cut = cut_every(&dense(Layout::newest(), 10, 3), 4);
    let json = serde_json::to_string(&cut.reference).unwrap();
    assert_eq!(serde_json::from_str::<ImageReference>(&json).unwrap(), cut.reference);
    let strange = json.replacen("\"layout\"", "\"later\":1,\"layout\"", 1);
    assert!(serde_json::from_str::<ImageReference>(&strange).is_err());
}

proptest! {
    #[test]
    fn a_recurrent_section_is_taken_as_it_lies(Generated { layout, container, state: whole } in states()) {
        let shapes: Vec<_> = whole.sections.iter().map(Section::shape).collect();
        let bytes = encode(&whole, layout, container).unwrap();
        let (read, places) = parse_located(&bytes, layout, &shapes, container).unwrap();
        let plan = CutPlan::of(&read, layout, CutOptions::default()).unwrap().lying_in(&bytes, &places);
        let copied = cut(&read, layout, CutOptions::default()).unwrap();
        let mut borrowed = 0;
        for (at, chunk) in copied.chunks.iter().enumerate() {
            let payload = plan.payload(at).unwrap();
            borrowed += usize::from(matches!(payload, Cow::Borrowed(_)));
            prop_assert_eq!(&*payload, chunk.payload());
        }
        let recurrent = |section: &&Section<'_>| matches!(section, Section::Recurrent(_));
        prop_assert_eq!(borrowed, whole.sections.iter().filter(recurrent).count());
    }

    #[test]
    fn a_cut_state_comes_back_whole(
        Generated { layout, container, state: mut whole } in states(),
        chunk_tokens in 1u32..50,
    ) {
        let cut = cut(&whole, layout, CutOptions { chunk_tokens, drop_last: false }).unwrap();
        whole.sequence = 0;
        whole.streams = StreamShape::SINGLE;
        let target = Target { container, ..Target::blob(layout) };
        let assembled = assemble(&cut.reference, &cut.chunks, &target).unwrap();
        prop_assert_eq!(assembled, encode(&whole, layout, container).unwrap());
        prop_assert_eq!(cut.reference.bytes(), cut.chunks.iter().map(|chunk| chunk.payload().len() as u64).sum::<u64>());
        prop_assert_eq!(state(cells(&cut.reference), &cut.chunks).unwrap().shape(), whole.shape());
    }
}
