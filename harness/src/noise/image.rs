//! States of llama.cpp outside of it: read, rewritten for another context, and spoilt on purpose.

use std::fs;
use std::path::Path;

use intact_format::foreign::ForeignFile;
use intact_format::layout::{
    Attention, CacheFormat, Container, Layout, Matrix, Rotation, Section, State, encode, identify, parse,
};
use intact_format::regular;
use intact_format::transcode::HeadSizes;

use super::StudyError;

/// A sequence file of llama.cpp, and how it is read.
#[derive(Debug, Clone)]
pub(super) struct Image {
    bytes: Vec<u8>,
    layout: &'static Layout,
    /// For layouts that rotate and do not say so.
    heads: Option<HeadSizes>,
}

/// What is done to a state on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoil {
    /// Every cell gets the K and V of the one before it.
    Shift,
    /// K and V are taken as they lie, whatever their rotation.
    Misread,
    /// One cell of zeros, in all layers.
    Cell,
    /// One K of zeros, in one layer.
    Key,
    /// One V of zeros, in one layer.
    Value,
}

impl Image {
    /// Reads a file that a worker with this layout wrote.
    pub(super) fn read(path: &Path, layout: &str, heads: Option<HeadSizes>) -> Result<Self, StudyError> {
        let bytes = regular::read(path).map_err(|source| StudyError::Io { path: path.to_owned(), source })?;
        let layout = Layout::by_id(layout).ok_or_else(|| StudyError::Opaque(layout.to_owned()))?;
        Ok(Self { bytes, layout, heads })
    }

    /// The state.
    pub(super) fn state(&self) -> Result<State<'_>, StudyError> {
        let file = ForeignFile::read(&self.bytes)?;
        let shape = identify(file.state, self.layout, Container::File)?;
        let mut state = parse(file.state, self.layout, &shape, Container::File)?;
        let mut windowed = false;
        for section in &mut state.sections {
            let Section::Attention(cache) = section else { continue };
            if let (None, Some(heads), Some(keys), Some(values)) =
                (cache.rotation, self.heads, cache.keys.first(), cache.values.first())
            {
                cache.rotation = heads.rotation(self.layout, [keys.kind, values.kind], windowed);
            }
            windowed = true;
        }
        Ok(state)
    }

    /// This state in the form of another one, as a context like that one's stores it.
    pub(super) fn like(&self, other: &Self) -> Result<Self, StudyError> {
        self.rewritten(&self.state()?, other)
    }

    /// The same, spoilt on the way.
    pub(super) fn spoilt(&self, spoil: Spoil, other: &Self) -> Result<Self, StudyError> {
        let mut state = self.state()?;
        let mut first = true;
        for (section, wanted) in state.sections.iter_mut().zip(other.state()?.sections) {
            let (Section::Attention(cache), Section::Attention(wanted)) = (section, wanted) else { continue };
            if spoil == Spoil::Misread {
                cache.rotation = wanted.rotation;
                continue;
            }
            let mut plain = cache.plain()?;
            if first || matches!(spoil, Spoil::Shift | Spoil::Cell) {
                spoil_cache(spoil, &mut plain);
            }
            first = false;
            *cache = plain;
        }
        self.rewritten(&state, other)
    }

    /// The cells of another session under the positions of this one.
    pub(super) fn with_cells_of(&self, session: &Self, other: &Self) -> Result<Self, StudyError> {
        let mut state = self.state()?;
        let foreign = session.state()?;
        for (section, foreign) in state.sections.iter_mut().zip(foreign.sections) {
            let (Section::Attention(cache), Section::Attention(foreign)) = (section, foreign) else {
                continue;
            };
            let count = cache.cells.len().min(foreign.cells.len());
            let (mine, theirs) = (cache.slice(0..count), foreign.slice(0..count));
            *cache = Attention { cells: mine.cells, ..theirs };
        }
        self.rewritten(&state, other)
    }

    fn rewritten(&self, state: &State<'_>, other: &Self) -> Result<Self, StudyError> {
        let wanted = other.state()?;
        let sections = state
            .sections
            .iter()
            .zip(&wanted.sections)
            .map(|(section, wanted)| match (section, wanted) {
                (Section::Attention(cache), Section::Attention(wanted)) => {
                    let converted = cache.convert(&form(wanted))?;
                    Ok(Section::Attention(Attention { shape: wanted.shape, ..converted.section }))
                }
                (section, _) => Ok(section.clone()),
            })
            .collect::<Result<Vec<_>, StudyError>>()?;
        let rewritten = State { sequence: wanted.sequence, streams: wanted.streams, sections };
        let head = &self.bytes[..ForeignFile::read(&self.bytes)?.state_offset];
        let mut bytes = head.to_vec();
        // The version word is the reader's.
        bytes[4..8].copy_from_slice(&other.bytes[4..8]);
        bytes.extend(encode(&rewritten, other.layout, Container::File)?);
        Ok(Self { bytes, layout: other.layout, heads: other.heads })
    }

    /// Writes the file.
    pub(super) fn write(&self, path: &Path) -> Result<(), StudyError> {
        fs::write(path, &self.bytes).map_err(|source| StudyError::Io { path: path.to_owned(), source })
    }
}

/// What a cache stores. Where a layout does not record the rotation, unquantized cells have none.
fn form(cache: &Attention<'_>) -> CacheFormat {
    let keys = cache.keys.first().map_or(intact_format::layout::GgmlType::F16, |matrix| matrix.kind);
    let values = cache.values.first().map_or(keys, |matrix| matrix.kind);
    let rotation: Rotation = cache.rotation.unwrap_or_default();
    CacheFormat { keys, values, rotation, transposed: cache.transposed }
}

fn spoil_cache(spoil: Spoil, cache: &mut Attention<'static>) {
    let (cell, layer) = (cache.cells.len() / 2, cache.keys.len() / 2);
    let matrices = cache.keys.iter_mut().map(|matrix| (true, matrix));
    let all = matrices.enumerate().chain(cache.values.iter_mut().map(|matrix| (false, matrix)).enumerate());
    for (at, (is_key, matrix)) in all {
        match spoil {
            Spoil::Shift => shift(matrix),
            Spoil::Cell => zero(matrix, cell),
            Spoil::Key if is_key && at == layer => zero(matrix, cell),
            Spoil::Value if !is_key && at == layer => zero(matrix, cell),
            Spoil::Key | Spoil::Value | Spoil::Misread => {}
        }
    }
}

fn row_bytes(matrix: &Matrix<'_>) -> usize {
    usize::try_from(matrix.order.cell_bytes()).unwrap_or(0)
}

fn shift(matrix: &mut Matrix<'static>) {
    let row = row_bytes(matrix);
    for block in &mut matrix.blocks {
        let bytes = block.bytes.to_mut();
        if row < bytes.len() {
            bytes.rotate_right(row);
        }
    }
}

fn zero(matrix: &mut Matrix<'static>, cell: usize) {
    let row = row_bytes(matrix);
    for block in &mut matrix.blocks {
        if let Some(place) = block.bytes.to_mut().get_mut(cell * row..(cell + 1) * row) {
            place.fill(0);
        }
    }
}
