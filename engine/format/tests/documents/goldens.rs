//! Session files that were written once and are never written again: what reads them today must read them for good.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::digest::Digest;
use intact_format::image::sidecar::{Sidecar, SidecarWriter, verify};
use intact_format::image::{Cut, CutOptions, Durable, Target, assemble, cut};
use intact_format::layout::{
    Attention, AttentionShape, Block, Cell, GgmlType, Layout, Matrix, Order, Section, State, StreamShape,
};
use intact_format::session::{self, SessionDocument};
use intact_format::version::FormatVersion;

use crate::sample;

/// The state that a version's golden image holds, as a blob of the layout that it was saved in.
fn golden_state(version: FormatVersion) -> &'static str {
    if version >= FormatVersion::V2_2 {
        "blake3:57b353acae9c18eef227b97d70e8537fd0b95a739685623c23719131e708a44c"
    } else {
        "blake3:78436f764f1422313b6f0f093659732ae95cb4bae92ca2ca0f2242647650a961"
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden")
}

fn file(version: FormatVersion) -> PathBuf {
    folder().join(format!("session-{version}.json"))
}

fn image_file(version: FormatVersion) -> PathBuf {
    folder().join(format!("session-{version}.kv"))
}

/// The versions that have an image.
fn with_image() -> impl Iterator<Item = FormatVersion> {
    FormatVersion::ALL.into_iter().filter(|version| *version >= FormatVersion::V2_0)
}

fn golden(version: FormatVersion) -> session::Read {
    let bytes =
        fs::read(file(version)).unwrap_or_else(|error| panic!("{}: {error}", file(version).display()));
    session::read(&bytes, FormatVersion::CURRENT).unwrap_or_else(|error| panic!("{version}: {error}"))
}

/// The sample session, as far as `version` holds it.
fn sample_as(version: FormatVersion) -> SessionDocument {
    let bytes = session::write(&sample::session_of(version), version).expect("a sound session").bytes;
    session::read(&bytes, FormatVersion::CURRENT).expect("what was written").document
}

#[test]
fn every_version_has_a_golden_file_that_is_read_as_what_it_was() {
    for version in FormatVersion::ALL {
        let mut read = golden(version);
        assert_eq!(read.written_as, version);
        let expected = sample_as(version);
        assert_eq!(read.document.image.is_some(), expected.image.is_some(), "{version}");
        read.document.image.clone_from(&expected.image);
        assert_eq!(read.document, expected, "{version}");
    }
}

#[test]
fn the_golden_image_is_read_as_the_state_it_was() {
    for version in with_image() {
        let image = golden(version).document.image.expect("an image");
        assert!(verify(&image_file(version), Some(&image)).expect("a sidecar").is_sound());
        let chunks = Sidecar::open(image_file(version)).unwrap().read_image(&image).unwrap();
        let layout = Layout::by_id("0.6.0").expect("a layout that is known for good");
        let state = assemble(&image, &chunks, &Target::blob(layout)).unwrap();
        assert_eq!(Digest::of(&state).to_string(), golden_state(version), "{version}");
    }
}

#[test]
fn a_golden_file_is_read_by_every_reader_of_its_version_and_no_older_one() {
    for version in FormatVersion::ALL {
        let bytes = fs::read(file(version)).unwrap();
        for reader in FormatVersion::ALL {
            assert_eq!(
                session::read(&bytes, reader).is_ok(),
                reader >= version,
                "{version} by a reader of {reader}"
            );
        }
    }
}

#[test]
fn a_golden_file_that_is_written_again_is_the_same_to_the_last_byte() {
    for version in FormatVersion::ALL {
        let written = session::write(&golden(version).document, version).unwrap();
        assert_eq!(written.notes, Vec::<String>::new(), "{version}");
        assert!(written.bytes == fs::read(file(version)).unwrap(), "{version}");
    }
}

#[test]
#[ignore = "writes the golden files that are not there yet"]
fn write_missing_golden_files() {
    fs::create_dir_all(folder()).unwrap();
    for version in FormatVersion::ALL.into_iter().filter(|version| !file(*version).exists()) {
        let mut session = sample::session_of(version);
        if version >= FormatVersion::V2_0 {
            let image = golden_image(u32::try_from(session.positions()).unwrap() - 1);
            SidecarWriter::open(image_file(version), Durable::default())
                .unwrap()
                .append(&image.chunks)
                .unwrap();
            session.image = Some(image.reference);
        }
        fs::write(file(version), session::write(&session, version).unwrap().bytes).unwrap();
    }
}

/// Two layers of `cells` cells with rows of eight half floats, cut in chunks of 64.
fn golden_image(cells: u32) -> Cut<'static> {
    const ROW: u64 = 16;
    let matrix = |seed: u8| {
        let bytes: Vec<u8> = (0..u64::from(cells) * ROW).map(|at| (at % 251) as u8 ^ seed).collect();
        let stored_cells = cells as usize;
        Matrix {
            kind: GgmlType::F16,
            order: Order::ByCell { row_bytes: ROW },
            blocks: vec![Block { bytes: bytes.into(), stored_cells, cells: 0..stored_cells }],
        }
    };
    let attention = Attention {
        shape: AttentionShape { extended_cells: false, values: true },
        cells: (0..i32::try_from(cells).expect("few"))
            .map(|position| Cell { position, extension: None })
            .collect(),
        transposed: false,
        rotation: Some(intact_format::layout::Rotation { keys: 0, values: 0 }),
        keys: vec![matrix(1), matrix(2)],
        values: vec![matrix(3), matrix(4)],
    };
    let state =
        State { sequence: 0, streams: StreamShape::SINGLE, sections: vec![Section::Attention(attention)] };
    let options = CutOptions { chunk_tokens: 64, ..CutOptions::default() };
    cut(&state, Layout::by_id("0.6.0").expect("known"), options).expect("a sound state")
}
