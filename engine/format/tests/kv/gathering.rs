//! States put together chunk by chunk: what one gets by putting all chunks together at once, or a refusal as there.

use intact_format::image::{
    CellImage, Chunk, CutOptions, Gathering, ImageError, ImageReference, Pieces, Target, assemble, cut,
    cut_opaque, part, state,
};
use intact_format::layout::{
    CacheFormat, Container, GgmlType, LAYOUTS, Layout, Rotation, Section, State, StreamShape, encode,
};
use intact_format::transcode::{self, Geometry};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::generated::{Generated, Noise, dense, states};

/// The chunks of an image, each put into its place alone. Where the target takes a chunk as it is, it is read into its place
/// when `in_place` says so; `here` is the memory whose form the chunks are brought into, where it is another one.
fn gathered(
    image: &CellImage,
    chunks: &[Chunk<'_>],
    target: &Target,
    in_place: bool,
    here: Option<&Geometry<'_>>,
) -> Result<Vec<u8>, ImageError> {
    let mut gathering = Gathering::new(image, target)?;
    for (at, section) in image.sections.iter().enumerate() {
        for reference in &section.chunks {
            let found = chunks.iter().find(|chunk| chunk.id() == reference.id);
            let chunk = found.ok_or(ImageError::Missing { id: reference.id })?;
            if chunk.payload().len() as u64 != reference.bytes {
                return Err(ImageError::Reference { what: "a chunk of another length".into() });
            }
            if in_place && let Some((id, room)) = gathering.room() {
                assert_eq!(id, chunk.id());
                room.copy_from_slice(chunk.payload());
                gathering.settle()?;
                continue;
            }
            let saved = part(image, at, reference, chunk)?;
            let emptied = saved.emptied();
            let brought = match here {
                Some(here) => transcode::section(saved, at, here).expect("it converts").0,
                None => saved,
            };
            gathering.place(&emptied, &brought)?;
        }
    }
    gathering.finish()
}

fn cells(reference: &ImageReference) -> &CellImage {
    match reference {
        ImageReference::Cells(image) => image,
        ImageReference::Opaque(_) => panic!("an image of cells"),
    }
}

proptest! {
    #[test]
    fn any_state_cut_in_any_way_is_what_it_is_when_all_its_chunks_are_there(
        Generated { layout, container, state } in states(),
        chunk_tokens in 1u32..50,
        (own_stream, own_sequence, in_place) in any::<(bool, bool, bool)>(),
    ) {
        let cut = cut(&state, layout, CutOptions { chunk_tokens, drop_last: false }).unwrap();
        let target = Target {
            container,
            streams: if own_stream { state.streams } else { StreamShape::SINGLE },
            sequence: if own_sequence { state.sequence } else { 0 },
            ..Target::blob(layout)
        };
        let found = gathered(cells(&cut.reference), &cut.chunks, &target, in_place, None).unwrap();
        prop_assert!(found == assemble(&cut.reference, &cut.chunks, &target).unwrap());
        let whole = State { sequence: target.sequence, streams: target.streams, ..state };
        prop_assert!(found == encode(&whole, layout, container).unwrap());
    }

    #[test]
    fn damage_is_refused_where_it_is_when_all_chunks_are_there(
        Generated { layout, container, state } in states(),
        chunk_tokens in 1u32..50,
        (which, byte, value) in any::<(Index, Index, u8)>(),
        in_place in any::<bool>(),
    ) {
        let cut = cut(&state, layout, CutOptions { chunk_tokens, drop_last: false }).unwrap();
        let (mut image, mut chunks) = (cells(&cut.reference).clone(), cut.chunks);
        // A forged chunk, named by its new hash.
        let which = which.index(chunks.len());
        let mut payload = chunks[which].payload().to_vec();
        let byte = byte.index(payload.len().min(200));
        payload[byte] = value;
        let (old, forged) = (chunks[which].id(), Chunk::new(payload));
        let references = image.sections.iter_mut().flat_map(|section| &mut section.chunks);
        references.filter(|reference| reference.id == old).for_each(|reference| reference.id = forged.id());
        chunks.push(forged);
        let target = Target { container, ..Target::blob(layout) };
        let found = gathered(&image, &chunks, &target, in_place, None);
        let expected = assemble(&ImageReference::Cells(image), &chunks, &target);
        prop_assert!(found.as_ref().ok() == expected.as_ref().ok(), "{found:?} {expected:?}");
    }

    #[test]
    fn a_state_converted_chunk_by_chunk_is_what_it_is_when_it_is_converted_at_once(
        (from, to) in any::<(Index, Index)>(),
        (cells_of_section, chunk_tokens) in (1usize..60, 1u32..50),
        (kind, transposed) in (0usize..4, any::<bool>()),
        seed in any::<u64>(),
    ) {
        let (from, to) = (from.get(&LAYOUTS), to.get(&LAYOUTS));
        let kind = [GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0][kind];
        let mut saved = dense(from, cells_of_section, seed);
        let more = dense(from, cells_of_section / 2 + 1, seed ^ 1);
        for mut section in more.sections {
            let Section::Attention(window) = &mut section else { panic!("attention") };
            for cell in &mut window.cells {
                cell.position += 7;
            }
            saved.sections.push(section);
        }
        for section in &mut saved.sections {
            let Section::Attention(section) = section else { panic!("attention") };
            // Rows of 32 numbers, so that they can be quantized.
            for matrix in section.keys.iter_mut().chain(&mut section.values) {
                let mut noise = Noise(seed);
                let numbers = (0..section.cells.len() * 32).map(|_| f32::from(noise.byte()) / 64.0 - 2.0);
                matrix.kind = GgmlType::F32;
                matrix.order = intact_format::layout::Order::ByCell { row_bytes: 128 };
                matrix.blocks[0].bytes = numbers.flat_map(f32::to_le_bytes).collect::<Vec<_>>().into();
            }
        }
        let cut = cut(&saved, from, CutOptions { chunk_tokens, drop_last: false }).unwrap();
        let shape = saved.shape();
        let transposed = transposed && !kind.is_quantized();
        let rotation = Rotation::default();
        let formats = [CacheFormat { keys: kind, values: kind, rotation, transposed }; 2];
        let here =
            Geometry { layout: to, shape: &shape, formats: &formats, streams: StreamShape::SINGLE, tokens: &[] };
        let image = cells(&cut.reference);
        let whole = transcode::image(state(image, &cut.chunks).unwrap(), &here).unwrap();
        let found = gathered(image, &cut.chunks, &Target::blob(to), false, Some(&here)).unwrap();
        prop_assert!(found == encode(&whole.state, to, Container::Blob).unwrap());
    }
}

#[test]
fn chunks_in_another_order_or_of_other_caches_are_refused() {
    let layout = Layout::newest();
    let whole = cut(&dense(layout, 10, 3), layout, CutOptions { chunk_tokens: 4, drop_last: false }).unwrap();
    let image = cells(&whole.reference);
    let target = Target::blob(layout);
    type Edit = fn(&mut CellImage);
    let edits: [(&str, Edit); 10] = [
        ("layout", |image| image.layout = "0.9.9".to_owned()),
        ("cells", |image| image.sections[0].cells = 9),
        ("many cells", |image| image.sections[0].cells = u32::MAX),
        ("last position", |image| image.sections[0].last_position = 10),
        ("transposed", |image| image.sections[0].transposed = true),
        ("order", |image| image.sections[0].chunks.swap(0, 1)),
        ("first cell", |image| image.sections[0].chunks[1].first_cell = 0),
        ("a chunk less", |image| image.sections[0].chunks.truncate(2)),
        ("a chunk twice", |image| {
            let chunk = image.sections[0].chunks[2].clone();
            image.sections[0].chunks.push(chunk);
        }),
        ("shape", |image| image.shape.sections.clear()),
    ];
    assert!(gathered(image, &whole.chunks, &target, false, None).is_ok());
    for (what, edit) in edits {
        let mut image = image.clone();
        edit(&mut image);
        assert!(gathered(&image, &whole.chunks, &target, false, None).is_err(), "{what}");
    }
    let mut gathering = Gathering::new(image, &target).unwrap();
    let reference = &image.sections[0].chunks[0];
    let section = part(image, 0, reference, &whole.chunks[0]).unwrap();
    gathering.place(&section, &section).unwrap();
    assert_eq!(gathering.finish(), Err(ImageError::Missing { id: whole.chunks[1].id() }));

    // A chunk that is read as it should be, of another type than the one before it.
    let mut other = dense(layout, 10, 3);
    let Section::Attention(section) = &mut other.sections[0] else { panic!("attention") };
    for matrix in &mut section.keys {
        matrix.kind = GgmlType::BF16;
    }
    let other = cut(&other, layout, CutOptions { chunk_tokens: 4, drop_last: false }).unwrap();
    let mut image = image.clone();
    image.sections[0].chunks[1].id = other.chunks[1].id();
    let chunks = [whole.chunks, other.chunks].concat();
    assert!(gathered(&image, &chunks, &target, false, None).is_err());
    // Also where both would be converted to a third type.
    let shape = image.shape.clone();
    let (keys, rotation) = (GgmlType::F32, Rotation::default());
    let formats = [CacheFormat { keys, values: keys, rotation, transposed: false }];
    let here =
        Geometry { layout, shape: &shape, formats: &formats, streams: StreamShape::SINGLE, tokens: &[] };
    assert!(gathered(&image, &chunks, &target, false, Some(&here)).is_err());
    image.sections[0].chunks[1].id = chunks[1].id();
    assert!(gathered(&image, &chunks, &target, false, Some(&here)).is_ok());
}

#[test]
fn every_byte_that_is_read_into_its_place_is_hashed() {
    let layout = Layout::newest();
    let whole = cut(&dense(layout, 4, 3), layout, CutOptions::default()).unwrap();
    let target = Target::blob(layout);
    let mut gathering = Gathering::new(cells(&whole.reference), &target).unwrap();
    let (id, room) = gathering.room().expect("one chunk, in the target's framing");
    assert_eq!(id, whole.chunks[0].id());
    room.copy_from_slice(whole.chunks[0].payload());
    let last = room.len() - 1;
    room[last] ^= 1;
    assert!(matches!(gathering.settle(), Err(ImageError::Mismatch(_))));
    gathering.room().expect("it is read again").1[last] ^= 1;
    gathering.settle().unwrap();
    assert!(gathering.finish().unwrap() == assemble(&whole.reference, &whole.chunks, &target).unwrap());

    let elsewhere = Target { streams: StreamShape { count: 2, index: 1 }, ..target };
    assert!(Gathering::new(cells(&whole.reference), &elsewhere).unwrap().room().is_none(), "another framing");
}

#[test]
fn an_opaque_image_is_put_together_piece_by_piece() {
    let mut noise = Noise(1);
    let blob: Vec<u8> = (0..20 << 20).map(|_| noise.byte()).collect();
    let cut = cut_opaque(&blob, "a layout of the future");
    let ImageReference::Opaque(image) = &cut.reference else { panic!("an opaque image") };
    let mut pieces = Pieces::new(image).unwrap();
    pieces.place(&cut.chunks[0]).unwrap();
    assert!(pieces.place(&cut.chunks[2]).is_err(), "the order is the image's");
    let (id, room) = pieces.room().unwrap();
    assert_eq!(id, cut.chunks[1].id());
    room.copy_from_slice(cut.chunks[1].payload());
    room[7] ^= 1;
    assert!(matches!(pieces.settle(), Err(ImageError::Mismatch(_))), "every byte is hashed");
    pieces.room().unwrap().1[7] ^= 1;
    pieces.settle().unwrap();
    pieces.place(&cut.chunks[2]).unwrap();
    assert!(pieces.finish().unwrap() == blob);

    let missing = Pieces::new(image).unwrap().finish();
    assert_eq!(missing, Err(ImageError::Missing { id: cut.chunks[0].id() }));
    let longer = intact_format::image::OpaqueImage { bytes: image.bytes + 1, ..image.clone() };
    assert!(Pieces::new(&longer).is_err());
}
