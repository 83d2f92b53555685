//! [`State`] to bytes.

use super::frame::Frame;
use super::parse::{BLOB_MAGIC, Container, MAX_SEQUENCES, extension};
use super::{
    Attention, AttentionShape, Cell, CellData, CellExtension, Layout, LayoutError, Matrix, Order, Recurrent,
    Rotation, RotationRule, Section, State, StreamShape,
};

/// Writes a state as a release with that layout would: its [`State::sequence`] and [`State::streams`] are what the reader
/// sees.
///
/// # Errors
/// When the layout has no words for something that the state holds, or the state contradicts itself.
pub fn encode(state: &State<'_>, layout: &Layout, container: Container) -> Result<Vec<u8>, LayoutError> {
    let mut out = Vec::with_capacity(capacity(&state.sections) + 16);
    out.extend(prefix(layout, container, state.sequence, state.streams)?);
    for section in &state.sections {
        write_section(&mut out, section, layout, state.sequence, state.streams)?;
    }
    Ok(out)
}

/// Writes one section of sequence 0 in a single stream: the payload of a chunk.
///
/// # Errors
/// As [`encode`].
pub fn encode_section(section: &Section<'_>, layout: &Layout) -> Result<Vec<u8>, LayoutError> {
    let mut out = Vec::new();
    append_section(&mut out, section, layout)?;
    Ok(out)
}

/// Does the same behind other bytes.
pub(crate) fn append_section(
    out: &mut Vec<u8>,
    section: &Section<'_>,
    layout: &Layout,
) -> Result<(), LayoutError> {
    out.reserve_exact(capacity(std::slice::from_ref(section)));
    write_section(out, section, layout, 0, StreamShape::SINGLE)
}

/// What comes before the first section.
///
/// # Errors
/// When the layout has no words for the sequence or its stream.
pub(crate) fn prefix(
    layout: &Layout,
    container: Container,
    sequence: i32,
    streams: StreamShape,
) -> Result<Vec<u8>, LayoutError> {
    let StreamShape { count, index } = streams;
    let unrepresentable = |what| Err(LayoutError::Unrepresentable { layout: layout.id, what });
    if index >= count || count > MAX_SEQUENCES || (count > 1 && !layout.stream_count) {
        return unrepresentable(format!("stream {index} of {count}"));
    }
    if !u32::try_from(sequence).is_ok_and(|id| id < MAX_SEQUENCES) {
        return unrepresentable(format!("sequence id {sequence}"));
    }
    let mut out = Vec::new();
    if layout.blob_prefix && container == Container::Blob {
        word(&mut out, BLOB_MAGIC);
        number(&mut out, sequence);
    }
    Ok(out)
}

/// Bytes that the sections take, but for a few words per section.
fn capacity(sections: &[Section<'_>]) -> usize {
    let matrices = |matrices: &[Matrix<'_>]| {
        matrices
            .iter()
            .map(|matrix| 16 + usize::try_from(matrix.order.cell_bytes()).unwrap_or(0) * matrix.cell_count())
            .sum::<usize>()
    };
    let section = |section: &Section<'_>| match section {
        Section::Attention(section) => {
            24 * section.cells.len() + matrices(&section.keys) + matrices(&section.values) + 64
        }
        Section::Recurrent(section) => {
            let second: usize =
                section.second_rows.iter().map(|row| matrices(std::slice::from_ref(&row.matrix))).sum();
            8 * section.positions.len() + matrices(&section.rows) + second + matrices(&section.states) + 64
        }
    };
    sections.iter().map(section).sum()
}

fn write_section(
    out: &mut Vec<u8>,
    section: &Section<'_>,
    layout: &Layout,
    sequence: i32,
    streams: StreamShape,
) -> Result<(), LayoutError> {
    match section {
        Section::Attention(section) => attention(out, section, layout, sequence, streams),
        Section::Recurrent(section) => recurrent(out, section, layout),
    }
}

fn attention(
    out: &mut Vec<u8>,
    section: &Attention<'_>,
    layout: &Layout,
    sequence: i32,
    streams: StreamShape,
) -> Result<(), LayoutError> {
    let frame = Frame::of(section, section.cells.len(), layout, sequence, streams)?;
    let start = out.len();
    out.resize(start + frame.bytes(), 0);
    frame.start(&mut out[start..])?;
    frame.place(&mut out[start..], 0, section)
}

/// A cell: its position, what it carries besides, and its sequence.
pub(super) fn cell_words(
    out: &mut Vec<u8>,
    cell: &Cell,
    layout: &Layout,
    shape: AttentionShape,
    sequence: i32,
) -> Result<(), LayoutError> {
    number(out, cell.position);
    word(out, 1);
    cell_extension(out, cell, extension(layout, shape), layout)?;
    number(out, sequence);
    Ok(())
}

fn cell_extension(
    out: &mut Vec<u8>,
    cell: &Cell,
    extension: CellExtension,
    layout: &Layout,
) -> Result<(), LayoutError> {
    // A text token's 2D position is its position, which is what a release without the extension assumes.
    let text = CellData { x: cell.position, y: cell.position, token: None };
    let data = cell.extension.unwrap_or(text);
    match extension {
        CellExtension::Absent => {
            if data.x != text.x || data.y != text.y {
                return Err(LayoutError::Unrepresentable {
                    layout: layout.id,
                    what: format!(
                        "the 2D position ({}, {}) of the cell at {}",
                        data.x, data.y, cell.position
                    ),
                });
            }
        }
        CellExtension::Position => {
            number(out, data.x);
            number(out, data.y);
        }
        CellExtension::PositionAndToken => {
            number(out, data.x);
            number(out, data.y);
            number(out, data.token.unwrap_or(NULL_TOKEN));
        }
    }
    Ok(())
}

/// llama.cpp's token id for a cell that no token made.
const NULL_TOKEN: i32 = -1;

/// What comes between the cells and the first matrix.
pub(super) fn data_words(section: &Attention<'_>, layout: &Layout) -> Result<Vec<u8>, LayoutError> {
    let mut out = Vec::new();
    word(&mut out, section.transposed.into());
    count(&mut out, section.keys.len())?;
    let rotation = rotation(section, layout)?;
    if layout.rotation == RotationRule::Recorded {
        word(&mut out, rotation.keys);
        word(&mut out, rotation.values);
    }
    Ok(out)
}

fn rotation(section: &Attention<'_>, layout: &Layout) -> Result<Rotation, LayoutError> {
    let unrepresentable =
        |what: &str| LayoutError::Unrepresentable { layout: layout.id, what: what.to_owned() };
    match (section.rotation, layout.rotation) {
        (Some(rotation), RotationRule::Recorded | RotationRule::Silent) => Ok(rotation),
        (Some(Rotation { keys: 0, values: 0 }) | None, RotationRule::Never) => Ok(Rotation::default()),
        (Some(_), RotationRule::Never) => Err(unrepresentable("rotated K or V")),
        (None, RotationRule::Silent) => Ok(Rotation::default()),
        (None, RotationRule::Recorded) => {
            let plain = section.shape.values
                && section.keys.iter().chain(&section.values).all(|matrix| !matrix.kind.is_quantized());
            if plain {
                Ok(Rotation::default())
            } else {
                Err(unrepresentable("K and V of which it is not known whether they are rotated"))
            }
        }
    }
}

fn recurrent(out: &mut Vec<u8>, section: &Recurrent<'_>, layout: &Layout) -> Result<(), LayoutError> {
    let cells = section.positions.len();
    let second = section.second_rows.iter().map(|row| &row.matrix);
    if let Some(matrix) =
        section.rows.iter().chain(&section.states).chain(second).find(|matrix| matrix.cell_count() != cells)
    {
        return Err(LayoutError::Mismatch {
            what: format!("{cells} cells and a tensor of {}", matrix.cell_count()),
        });
    }
    if section.rows.len() != section.states.len() {
        let what = format!("{} recurrent rows and {} states", section.rows.len(), section.states.len());
        return Err(LayoutError::Mismatch { what });
    }
    if !section.second_rows.is_empty() && !layout.second_rows {
        return Err(LayoutError::Unrepresentable {
            layout: layout.id,
            what: "a second recurrent row".to_owned(),
        });
    }
    count(out, cells)?;
    for position in &section.positions {
        number(out, *position);
        word(out, 0);
    }
    word(out, 0);
    word(out, section.model_layers);
    for (layer, row) in section.rows.iter().enumerate() {
        typed_matrix(out, row);
        for second in section.second_rows.iter().filter(|second| second.layer as usize == layer) {
            matrix_size(out, &second.matrix);
            second.matrix.write(out);
        }
    }
    for state in &section.states {
        typed_matrix(out, state);
    }
    Ok(())
}

fn typed_matrix(out: &mut Vec<u8>, matrix: &Matrix<'_>) {
    out.extend_from_slice(&matrix_words(matrix));
    matrix.write(out);
}

/// What comes before the data of a matrix.
pub(super) fn matrix_words(matrix: &Matrix<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, matrix.kind.0);
    matrix_size(&mut out, matrix);
    out
}

fn matrix_size(out: &mut Vec<u8>, matrix: &Matrix<'_>) {
    match matrix.order {
        Order::ByCell { row_bytes } => out.extend_from_slice(&row_bytes.to_le_bytes()),
        Order::ByElement { element_bytes, elements } => {
            word(out, element_bytes);
            word(out, elements);
        }
    }
}

pub(super) fn word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn number(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn count(out: &mut Vec<u8>, value: usize) -> Result<(), LayoutError> {
    let value = u32::try_from(value)
        .map_err(|_| LayoutError::Mismatch { what: format!("{value} cells or layers") })?;
    word(out, value);
    Ok(())
}
