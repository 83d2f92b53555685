//! Bytes to [`State`].

use std::borrow::Cow;
use std::ops::Range;

use super::cursor::Cursor;
use super::{
    Attention, AttentionShape, Block, Cell, CellData, CellExtension, GgmlType, Layout, LayoutError, Matrix,
    MemoryShape, Order, Recurrent, RecurrentShape, Rotation, RotationRule, SecondRow, Section, SectionShape,
    State, StreamShape,
};

/// First word of a raw blob, in the layouts that have a blob prefix.
pub const BLOB_MAGIC: u32 = 0xaf14_3cd8;
/// Bytes of the blob prefix: magic and sequence id.
pub const BLOB_PREFIX_BYTES: usize = 8;
/// Streams and sequences that a context can have, in every release: ids are below it.
pub const MAX_SEQUENCES: u32 = 256;

/// What the bytes of a sequence's state are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// The buffer of `llama_state_seq_get_data`, with the blob prefix of the layouts that have one.
    Blob,
    /// The part of a sequence file behind its tokens, which never has a prefix.
    File,
}

/// Reads one sequence's state of a known shape, to its last byte.
///
/// # Errors
/// When the bytes end early, go on behind the last section, or hold a word that this layout and shape do not allow.
pub fn parse<'a>(
    bytes: &'a [u8],
    layout: &Layout,
    shape: &MemoryShape,
    container: Container,
) -> Result<State<'a>, LayoutError> {
    parse_located(bytes, layout, &shape.sections, container).map(|(state, _)| state)
}

/// The same for a state of these sections, and where in the bytes each of them lies.
///
/// # Errors
/// As [`parse`].
pub fn parse_located<'a>(
    bytes: &'a [u8],
    layout: &Layout,
    shapes: &[SectionShape],
    container: Container,
) -> Result<(State<'a>, Vec<Range<usize>>), LayoutError> {
    let mut cursor = Cursor::new(bytes);
    let mut owner = Owner::prefixed(&mut cursor, layout, container)?;
    let (mut sections, mut places) = (Vec::new(), Vec::new());
    for shape in shapes {
        let start = cursor.offset();
        sections.push(section(&mut cursor, layout, shape, &mut owner)?);
        places.push(start..cursor.offset());
    }
    at_end(&cursor)?;
    let state =
        State { sequence: owner.sequence.unwrap_or(0), streams: owner.streams.unwrap_or_default(), sections };
    Ok((state, places))
}

/// Reads one section alone, to its last byte: what a chunk of an image holds.
///
/// # Errors
/// As [`parse`], and when the section is not of sequence 0 in a single stream.
pub fn parse_section<'a>(
    bytes: &'a [u8],
    layout: &Layout,
    shape: &SectionShape,
) -> Result<Section<'a>, LayoutError> {
    let mut cursor = Cursor::new(bytes);
    let mut owner = Owner { sequence: Some(0), streams: Some(StreamShape::SINGLE) };
    let section = section(&mut cursor, layout, shape, &mut owner)?;
    at_end(&cursor)?;
    Ok(section)
}

/// The sequence and stream that the sections have agreed on so far.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    sequence: Option<i32>,
    streams: Option<StreamShape>,
}

impl Owner {
    pub(super) fn prefixed(
        cursor: &mut Cursor<'_>,
        layout: &Layout,
        container: Container,
    ) -> Result<Self, LayoutError> {
        if !layout.blob_prefix || container == Container::File {
            return Ok(Self { sequence: None, streams: None });
        }
        let magic = cursor.u32("blob magic")?;
        cursor.expect("blob magic", i64::from(magic), magic == BLOB_MAGIC, || BLOB_MAGIC.to_string())?;
        let sequence = cursor.i32("blob sequence id")?;
        let valid = u32::try_from(sequence).is_ok_and(|id| id < MAX_SEQUENCES);
        cursor
            .expect("blob sequence id", sequence.into(), valid, || format!("0 to {}", MAX_SEQUENCES - 1))?;
        Ok(Self { sequence: Some(sequence), streams: None })
    }
}

/// Fails unless the input has been read to its end.
pub(super) fn at_end(cursor: &Cursor<'_>) -> Result<(), LayoutError> {
    match cursor.remaining() {
        0 => Ok(()),
        bytes => Err(LayoutError::Trailing { offset: cursor.offset(), bytes }),
    }
}

/// Reads the next section.
pub(super) fn section<'a>(
    cursor: &mut Cursor<'a>,
    layout: &Layout,
    shape: &SectionShape,
    owner: &mut Owner,
) -> Result<Section<'a>, LayoutError> {
    match shape {
        SectionShape::Attention(shape) => attention(cursor, layout, *shape, owner).map(Section::Attention),
        SectionShape::Recurrent(shape) => recurrent(cursor, layout, shape).map(Section::Recurrent),
    }
}

fn attention<'a>(
    cursor: &mut Cursor<'a>,
    layout: &Layout,
    shape: AttentionShape,
    owner: &mut Owner,
) -> Result<Attention<'a>, LayoutError> {
    let mut section = Attention {
        shape,
        cells: Vec::new(),
        transposed: false,
        rotation: None,
        keys: Vec::new(),
        values: Vec::new(),
    };
    let streams = if layout.stream_count {
        let streams = cursor.u32("n_stream")?;
        let agreed = owner.streams.is_none_or(|known| known.count == streams);
        cursor.expect(
            "n_stream",
            streams.into(),
            agreed && (1..=MAX_SEQUENCES).contains(&streams),
            || owner.streams.map_or_else(|| format!("1 to {MAX_SEQUENCES}"), |known| known.count.to_string()),
        )?;
        streams
    } else {
        1
    };
    for index in 0..streams {
        let count = cursor.count("cell_count", layout.cell_bytes(shape))?;
        if count == 0 && layout.empty_stream_stops {
            continue;
        }
        let here = StreamShape { count: streams, index };
        let alone = section.cells.is_empty() && owner.streams.is_none_or(|known| known == here);
        cursor
            .expect("cell_count", count as i64, alone, || "0: a sequence is in one stream only".to_owned())?;
        owner.streams = Some(here);
        section.cells = cells(cursor, count, extension(layout, shape), owner)?;
        attention_data(cursor, layout, &mut section)?;
    }
    Ok(section)
}

impl Layout {
    /// Bytes of a cell of this shape before the matrices: position, number of owners, extension, owner.
    #[must_use]
    pub const fn cell_bytes(&self, shape: AttentionShape) -> usize {
        12 + extension(self, shape).bytes()
    }
}

/// The extension that cells of this shape have on this layout's wire.
pub(super) const fn extension(layout: &Layout, shape: AttentionShape) -> CellExtension {
    if shape.extended_cells { layout.cell_extension } else { CellExtension::Absent }
}

fn cells(
    cursor: &mut Cursor<'_>,
    count: usize,
    extension: CellExtension,
    owner: &mut Owner,
) -> Result<Vec<Cell>, LayoutError> {
    let mut cells = Vec::with_capacity(count);
    for _ in 0..count {
        let position = position(cursor)?;
        let owners = cursor.u32("n_seq_id")?;
        cursor.expect("n_seq_id", owners.into(), owners == 1, || "1".to_owned())?;
        let extension = match extension {
            CellExtension::Absent => None,
            CellExtension::Position => {
                Some(CellData { x: cursor.i32("cell x")?, y: cursor.i32("cell y")?, token: None })
            }
            CellExtension::PositionAndToken => Some(CellData {
                x: cursor.i32("cell x")?,
                y: cursor.i32("cell y")?,
                token: Some(cursor.i32("cell token")?),
            }),
        };
        let sequence = cursor.i32("cell sequence id")?;
        let valid = u32::try_from(sequence).is_ok_and(|id| id < MAX_SEQUENCES);
        let agreed = owner.sequence.is_none_or(|known| known == sequence);
        cursor.expect("cell sequence id", sequence.into(), valid && agreed, || {
            owner.sequence.map_or_else(|| format!("0 to {}", MAX_SEQUENCES - 1), |known| known.to_string())
        })?;
        owner.sequence = Some(sequence);
        cells.push(Cell { position, extension });
    }
    Ok(cells)
}

fn position(cursor: &mut Cursor<'_>) -> Result<i32, LayoutError> {
    let position = cursor.i32("cell position")?;
    cursor.expect("cell position", position.into(), position >= 0, || "0 or more".to_owned())?;
    Ok(position)
}

fn attention_data<'a>(
    cursor: &mut Cursor<'a>,
    layout: &Layout,
    section: &mut Attention<'a>,
) -> Result<(), LayoutError> {
    let cells = section.cells.len();
    let transposed = cursor.u32("v_trans")?;
    cursor.expect("v_trans", transposed.into(), transposed <= 1, || "0 or 1".to_owned())?;
    section.transposed = transposed == 1;
    let rotation_words = if layout.rotation == RotationRule::Recorded { 8 } else { 0 };
    let layers = cursor.count("n_layer", 12)?;
    if rotation_words > 0 {
        section.rotation =
            Some(Rotation { keys: rotation(cursor, "n_rot_k")?, values: rotation(cursor, "n_rot_v")? });
    }
    section.keys = (0..layers).map(|_| rows(cursor, cells, &KEY)).collect::<Result<_, _>>()?;
    if section.shape.values {
        let transposed = section.transposed;
        section.values = (0..layers)
            .map(|_| if transposed { elements(cursor, cells) } else { rows(cursor, cells, &VALUE) })
            .collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn rotation(cursor: &mut Cursor<'_>, field: &'static str) -> Result<u32, LayoutError> {
    let size = cursor.u32(field)?;
    let valid = size == 0 || (size.is_power_of_two() && (2..=1 << 16).contains(&size));
    cursor.expect(field, size.into(), valid, || "0 or a power of two".to_owned())?;
    Ok(size)
}

/// Field names of one kind of tensor, for errors.
struct Fields {
    kind: &'static str,
    row: &'static str,
    data: &'static str,
}

const KEY: Fields = Fields { kind: "K type", row: "K row size", data: "K rows" };
const VALUE: Fields = Fields { kind: "V type", row: "V row size", data: "V rows" };
const RECURRENT_ROW: Fields = Fields { kind: "R type", row: "R row size", data: "R rows" };
const RECURRENT_STATE: Fields = Fields { kind: "S type", row: "S row size", data: "S rows" };

fn kind(cursor: &mut Cursor<'_>, field: &'static str) -> Result<(GgmlType, u32), LayoutError> {
    let kind = GgmlType(cursor.i32(field)?);
    let block = kind.block();
    cursor
        .expect(field, kind.0.into(), block.is_some(), || "a tensor type that caches can have".to_owned())?;
    Ok((kind, block.map_or(1, |block| block.bytes)))
}

fn rows<'a>(cursor: &mut Cursor<'a>, cells: usize, fields: &Fields) -> Result<Matrix<'a>, LayoutError> {
    let (kind, block_bytes) = kind(cursor, fields.kind)?;
    row_data(cursor, cells, kind, block_bytes, fields)
}

fn row_data<'a>(
    cursor: &mut Cursor<'a>,
    cells: usize,
    kind: GgmlType,
    block_bytes: u32,
    fields: &Fields,
) -> Result<Matrix<'a>, LayoutError> {
    let row_bytes = cursor.u64(fields.row)?;
    let whole = row_bytes % u64::from(block_bytes) == 0 && row_bytes <= 1 << 31;
    cursor.expect(fields.row, i64::try_from(row_bytes).unwrap_or(i64::MAX), whole, || {
        format!("a multiple of the {block_bytes} bytes of {kind}")
    })?;
    let bytes = cursor.take(fields.data, cells, row_bytes)?;
    Ok(matrix(kind, Order::ByCell { row_bytes }, bytes, cells))
}

fn elements<'a>(cursor: &mut Cursor<'a>, cells: usize) -> Result<Matrix<'a>, LayoutError> {
    let (kind, block_bytes) = kind(cursor, VALUE.kind)?;
    cursor.expect(VALUE.kind, kind.0.into(), !kind.is_quantized(), || {
        "a type that is not quantized".to_owned()
    })?;
    let element_bytes = cursor.u32("V element size")?;
    cursor.expect("V element size", element_bytes.into(), element_bytes == block_bytes, || {
        block_bytes.to_string()
    })?;
    let elements = cursor.u32("V embedding size")?;
    let order = Order::ByElement { element_bytes, elements };
    let bytes = cursor.take(VALUE.data, cells, order.cell_bytes())?;
    Ok(matrix(kind, order, bytes, cells))
}

fn matrix(kind: GgmlType, order: Order, bytes: &[u8], cells: usize) -> Matrix<'_> {
    let blocks = vec![Block { bytes: Cow::Borrowed(bytes), stored_cells: cells, cells: 0..cells }];
    Matrix { kind, order, blocks }
}

fn recurrent<'a>(
    cursor: &mut Cursor<'a>,
    layout: &Layout,
    shape: &RecurrentShape,
) -> Result<Recurrent<'a>, LayoutError> {
    let count = cursor.count("cell_count", 8)?;
    let mut positions = Vec::with_capacity(count);
    for _ in 0..count {
        positions.push(position(cursor)?);
        let owners = cursor.u32("n_seq_id")?;
        cursor.expect("n_seq_id", owners.into(), owners == 0, || "0".to_owned())?;
    }
    let transposed = cursor.u32("s_trans")?;
    cursor.expect("s_trans", transposed.into(), transposed == 0, || "0".to_owned())?;
    let model_layers = cursor.u32("n_layer")?;
    let present = shape.present_layers;
    cursor
        .expect("n_layer", model_layers.into(), model_layers >= present, || format!("at least {present}"))?;
    // Every present layer has at least two type and size words, here or further on.
    let needed = u64::from(present) * 24;
    if needed > cursor.remaining() as u64 {
        let (offset, available) = (cursor.offset(), cursor.remaining());
        return Err(LayoutError::Truncated { field: RECURRENT_ROW.kind, offset, needed, available });
    }
    let mut rows = Vec::new();
    let mut second_rows = Vec::new();
    let mut with_second = shape.second_rows.iter().copied().peekable();
    for layer in 0..present {
        let row = self::rows(cursor, count, &RECURRENT_ROW)?;
        if layout.second_rows && with_second.next_if_eq(&layer).is_some() {
            let block_bytes = row.kind.block().map_or(1, |block| block.bytes);
            let matrix = row_data(cursor, count, row.kind, block_bytes, &SECOND_ROW)?;
            second_rows.push(SecondRow { layer, matrix });
        }
        rows.push(row);
    }
    let states =
        (0..present).map(|_| self::rows(cursor, count, &RECURRENT_STATE)).collect::<Result<_, _>>()?;
    Ok(Recurrent { positions, model_layers, rows, second_rows, states })
}

const SECOND_ROW: Fields = Fields { kind: "second row type", row: "second row size", data: "second rows" };
