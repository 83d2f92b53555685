//! Carrying out the steps on a state.

use crate::layout::{
    Attention, CacheFormat, CellData, CellExtension, ConvertError, Distances, Layout, MemoryShape,
    RotationRule, Section, SectionShape, State, StreamShape,
};
use crate::token::Token;

/// The memory that a state is brought into the form of.
#[derive(Debug, Clone, Copy)]
pub struct Geometry<'a> {
    /// Layout of the release.
    pub layout: &'static Layout,
    /// The caches.
    pub shape: &'a MemoryShape,
    /// What every attention cache stores, in order.
    pub formats: &'a [CacheFormat],
    /// Where the sequence is among the streams.
    pub streams: StreamShape,
    /// The session's tokens by position: for cells that carry their token here and did not where they were saved.
    pub tokens: &'a [Token],
}

/// A state in another form, and what that cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcoded<'a> {
    /// The state, as sequence 0.
    pub state: State<'a>,
    /// How far its numbers are from those that were saved.
    pub distances: Distances,
}

/// A state that cannot be brought into a form.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TranscodeError {
    /// The model has other caches here.
    #[error("the saved KV is of a memory with {saved}, the one here has {here}{why}")]
    Shape {
        /// Caches of the state, in words.
        saved: String,
        /// Caches here, in words.
        here: String,
        /// Why that is, where it is known: to follow the sentence.
        why: &'static str,
    },
    /// Numbers that cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

/// Brings a state into the form of another memory. What has that form already keeps its bytes.
///
/// # Errors
/// [`TranscodeError`] where the memories are of different kinds, or a cache cannot be converted.
pub fn image<'a>(mut state: State<'a>, here: &Geometry<'_>) -> Result<Transcoded<'a>, TranscodeError> {
    adopt(&mut state, here.shape)?;
    let latent = is_latent(here.shape);
    let attention = state.sections.iter_mut().filter_map(|section| match section {
        Section::Attention(attention) => Some(attention),
        Section::Recurrent(_) => None,
    });
    for (section, wanted) in attention.zip(here.formats) {
        settle_rotation(section, wanted, here.layout, latent)?;
        name_tokens(section, here);
    }
    let (mut state, distances) = convert(state, here)?;
    state.sequence = 0;
    state.streams = here.streams;
    Ok(Transcoded { state, distances })
}

/// Gives the sections the shapes of the memory here: releases differ in whether cells are seen to have an extension.
fn adopt(state: &mut State<'_>, here: &MemoryShape) -> Result<(), TranscodeError> {
    let same = |section: &Section<'_>, wanted: &SectionShape| match (section.shape(), wanted) {
        (SectionShape::Attention(mine), SectionShape::Attention(wanted)) => mine.values == wanted.values,
        (mine, wanted) => mine == *wanted,
    };
    let pairs = || state.sections.iter().zip(&here.sections);
    if state.sections.len() != here.sections.len() || !pairs().all(|(section, wanted)| same(section, wanted))
    {
        let saved = state.shape();
        let latent = is_latent(here) != is_latent(&saved) && saved.sections.len() == here.sections.len();
        let why = if latent { V_OF_LATENT_ATTENTION } else { "" };
        return Err(TranscodeError::Shape { saved: told(&saved), here: told(here), why });
    }
    for (section, wanted) in state.sections.iter_mut().zip(&here.sections) {
        if let (Section::Attention(section), SectionShape::Attention(wanted)) = (section, wanted) {
            section.shape = *wanted;
        }
    }
    Ok(())
}

fn told(shape: &MemoryShape) -> String {
    let caches: Vec<&str> = shape
        .sections
        .iter()
        .map(|section| match section {
            SectionShape::Attention(attention) if attention.values => "K and V",
            SectionShape::Attention(_) => "K alone",
            SectionShape::Recurrent(_) => "a recurrent state",
        })
        .collect();
    if caches.is_empty() { "nothing".to_owned() } else { caches.join(", then ") }
}

/// What became of the V of such models.
const V_OF_LATENT_ATTENTION: &str = ": from b7832 on llama.cpp keeps no V for models with latent attention (MLA), and one form \
                                     is not turned into the other; the tokens can be evaluated again";

/// One attention cache without V: latent attention.
fn is_latent(shape: &MemoryShape) -> bool {
    let mut attention = shape.sections.iter().filter_map(|section| match section {
        SectionShape::Attention(attention) => Some(attention.values),
        SectionShape::Recurrent(_) => None,
    });
    attention.next() == Some(false) && attention.next().is_none()
}

/// Caches without V have rules of their own. Latent attention never rotates, whatever size a release records. Indexers
/// rotate or do not, depending on the architecture and not on their type; where the state does not say, only what does not
/// change is safe.
fn settle_rotation(
    section: &mut Attention<'_>,
    wanted: &CacheFormat,
    layout: &Layout,
    latent: bool,
) -> Result<(), ConvertError> {
    if section.shape.values {
        return Ok(());
    }
    let quantized =
        wanted.keys.is_quantized() || section.keys.iter().any(|matrix| matrix.kind.is_quantized());
    let unchanged = section.keys.iter().all(|matrix| matrix.kind == wanted.keys);
    if latent {
        section.rotation = Some(wanted.rotation);
        return Ok(());
    }
    match section.rotation {
        Some(rotation) if rotation == wanted.rotation => Ok(()),
        None if unchanged && layout.rotation != RotationRule::Recorded => {
            section.rotation = Some(wanted.rotation);
            Ok(())
        }
        None if !quantized && wanted.rotation.keys == 0 => {
            section.rotation = Some(wanted.rotation);
            Ok(())
        }
        _ => Err(ConvertError::UnknownRotation),
    }
}

/// Fills in the tokens that cells carry in newer layouts and did not in older ones.
fn name_tokens(section: &mut Attention<'_>, here: &Geometry<'_>) {
    if here.layout.cell_extension != CellExtension::PositionAndToken || !section.shape.extended_cells {
        return;
    }
    for cell in &mut section.cells {
        let token =
            usize::try_from(cell.position).ok().and_then(|at| here.tokens.get(at)).map(|token| token.0);
        let data = cell.extension.unwrap_or(CellData { x: cell.position, y: cell.position, token: None });
        cell.extension = Some(CellData { token: data.token.or(token), ..data });
    }
}

/// V of a cache without V, and the transposition of a cache without cells, are not worth a conversion.
fn convert<'a>(state: State<'a>, here: &Geometry<'_>) -> Result<(State<'a>, Distances), ConvertError> {
    let attention = state.sections.iter().filter_map(|section| match section {
        Section::Attention(attention) => Some(attention),
        Section::Recurrent(_) => None,
    });
    let formats: Vec<CacheFormat> = here
        .formats
        .iter()
        .zip(attention)
        .map(
            |(wanted, section)| {
                if section.shape.values { *wanted } else { CacheFormat { values: wanted.keys, ..*wanted } }
            },
        )
        .collect();
    state.convert(&formats)
}
