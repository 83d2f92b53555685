//! What a context's memory looks like: found out by saving a small state and reading it.

use std::ops::Range;

use intact_format::layout::{
    CacheFormat, Container, GgmlType, Layout, LayoutError, MemoryShape, Order, Rotation, Section,
    SectionShape, State, StreamShape, identify, parse, parse_located,
};
use intact_format::transcode::HeadSizes;

use crate::llama::{Context, LlamaError, Part, Token, release};

/// Tokens that are evaluated for a probe: enough to tell every layout apart.
const PROBE_TOKENS: usize = 4;

/// What a context's memory looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Its state was understood to the last byte.
    Understood(Understood),
    /// It was not; images are opaque.
    Opaque {
        /// Why.
        reason: String,
    },
}

/// A state that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// The layout of this llama.cpp.
    pub layout: &'static Layout,
    /// The caches.
    pub shape: MemoryShape,
    /// Where the sequence is among the streams.
    pub streams: StreamShape,
    /// Types, row sizes, rotation and transposition of every cache.
    pub sections: Vec<SectionForm>,
}

/// The form of one cache: everything that a state for it must have in common with the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionForm {
    /// V is stored by element.
    pub transposed: bool,
    /// Rotation of K and V: recorded, or computed where the layout does not record it. None for caches without V that do not.
    pub rotation: Option<Rotation>,
    /// Type and order of each K matrix, or of each recurrent row.
    pub keys: Vec<(i32, Order)>,
    /// Type and order of each V matrix, or of each recurrent state.
    pub values: Vec<(i32, Order)>,
}

impl Probe {
    /// Probes an empty context over a model with these head sizes, and leaves it empty. `forget_layouts` plays a release
    /// whose layout is not known.
    ///
    /// # Errors
    /// When llama.cpp cannot evaluate or save.
    pub fn of(context: &mut Context, heads: &HeadSizes, forget_layouts: bool) -> Result<Self, LlamaError> {
        let tokens: Vec<Token> = (0..).map(Token).take(PROBE_TOKENS.min(context.model().n_vocab())).collect();
        context.evaluate(&tokens, 0)?;
        let state = context.state(Part::Whole)?;
        context.clear();
        if forget_layouts {
            return Ok(Self::Opaque { reason: "the layouts were forgotten on purpose".to_owned() });
        }
        let Some(layout) = release().layout() else {
            let reason = format!("the state layout of llama.cpp {} is not known", release().release);
            return Ok(Self::Opaque { reason });
        };
        Ok(Understood::read(state.bytes(), layout, heads)
            .map_or_else(|error| Self::Opaque { reason: error.to_string() }, Self::Understood))
    }

    /// What was understood.
    #[must_use]
    pub fn understood(&self) -> Option<&Understood> {
        match self {
            Self::Understood(understood) => Some(understood),
            Self::Opaque { .. } => None,
        }
    }

    /// Is there a cache that keeps a window only? `None` where that is not known.
    #[must_use]
    pub fn is_windowed(&self) -> Option<bool> {
        let attention =
            |section: &&SectionShape| matches!(section, SectionShape::Attention(shape) if shape.values);
        self.understood().map(|understood| understood.shape.sections.iter().filter(attention).count() > 1)
    }

    /// The layout's id, or why images are opaque.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Understood(understood) => understood.layout.id.to_owned(),
            Self::Opaque { reason } => format!("opaque: {reason}"),
        }
    }
}

impl Understood {
    fn read(bytes: &[u8], layout: &'static Layout, heads: &HeadSizes) -> Result<Self, LayoutError> {
        let shape = identify(bytes, layout, Container::Blob)?;
        let mut state = parse(bytes, layout, &shape, Container::Blob)?;
        compute_rotation(&mut state, layout, heads);
        Ok(Self { layout, streams: state.streams, sections: forms(&state), shape })
    }

    /// What every attention cache stores, in order.
    #[must_use]
    pub fn cache_formats(&self) -> Vec<CacheFormat> {
        let attention = self.shape.sections.iter().zip(&self.sections);
        attention
            .filter(|(shape, _)| matches!(shape, SectionShape::Attention(_)))
            .map(|(_, form)| {
                let kind = |matrices: &[(i32, Order)]| matrices.first().map(|&(kind, _)| GgmlType(kind));
                let keys = kind(&form.keys).unwrap_or(GgmlType(0));
                CacheFormat {
                    keys,
                    values: kind(&form.values).unwrap_or(keys),
                    rotation: form.rotation.unwrap_or_default(),
                    transposed: form.transposed,
                }
            })
            .collect()
    }

    /// Bytes that a cell takes in a state, over all attention caches.
    #[must_use]
    pub fn cell_bytes(&self) -> u64 {
        let of = |(shape, form): (&SectionShape, &SectionForm)| match shape {
            SectionShape::Attention(shape) => {
                let matrices = form.keys.iter().chain(&form.values).map(|(_, order)| order.cell_bytes());
                self.layout.cell_bytes(*shape) as u64 + matrices.sum::<u64>()
            }
            SectionShape::Recurrent(_) => 0,
        };
        self.shape.sections.iter().zip(&self.sections).map(of).sum()
    }

    /// The sections of caches that keep a window: all attention caches but the first.
    pub fn windows(&self) -> impl Iterator<Item = usize> {
        let attention =
            |(at, shape): (usize, &SectionShape)| matches!(shape, SectionShape::Attention(_)).then_some(at);
        self.shape.sections.iter().enumerate().filter_map(attention).skip(1)
    }

    /// Reads a state of this memory.
    ///
    /// # Errors
    /// When it does not parse to its last byte, or has another form than this memory.
    pub fn parse<'b>(&self, bytes: &'b [u8]) -> Result<State<'b>, LayoutError> {
        self.parse_behind(0, bytes).map(|(state, _)| state)
    }

    /// Reads a state without the first `left_out` sections of this memory, and says where each of the others lies.
    ///
    /// # Errors
    /// When it does not parse to its last byte, or has another form than this memory.
    pub fn parse_behind<'b>(
        &self,
        left_out: usize,
        bytes: &'b [u8],
    ) -> Result<(State<'b>, Vec<Range<usize>>), LayoutError> {
        let shapes = self.shape.sections.get(left_out..).unwrap_or_default();
        let wanted = self.sections.get(left_out..).unwrap_or_default();
        let (mut state, places) = parse_located(bytes, self.layout, shapes, Container::Blob)?;
        for (section, form) in state.sections.iter_mut().zip(wanted) {
            if let Section::Attention(section) = section {
                section.rotation = section.rotation.or(form.rotation);
            }
        }
        if state.streams != self.streams {
            let what = format!("streams {:?} instead of {:?}", state.streams, self.streams);
            return Err(LayoutError::Mismatch { what });
        }
        for (at, (found, wanted)) in forms(&state).iter().zip(wanted).enumerate() {
            if let Some(what) = wanted.difference(found) {
                return Err(LayoutError::Mismatch { what: format!("cache {} has {what}", left_out + at) });
            }
        }
        Ok((state, places))
    }
}

/// Fills in what releases before the recording of rotation do to their caches.
fn compute_rotation(state: &mut State<'_>, layout: &Layout, heads: &HeadSizes) {
    let mut windowed = false;
    for section in &mut state.sections {
        let Section::Attention(section) = section else { continue };
        if let (None, Some(keys), Some(values)) =
            (section.rotation, section.keys.first(), section.values.first())
        {
            let rotation = heads.rotation(layout, [keys.kind, values.kind], windowed);
            section.rotation = if rotation_is_disabled() { Some(Rotation::default()) } else { rotation };
        }
        windowed = true;
    }
}

/// llama.cpp's own switch: any number but 0.
fn rotation_is_disabled() -> bool {
    let value = std::env::var("LLAMA_ATTN_ROT_DISABLE").unwrap_or_default();
    let digits: String =
        value.trim_start().trim_start_matches(['+', '-']).chars().take_while(char::is_ascii_digit).collect();
    digits.chars().any(|digit| digit != '0')
}

impl SectionForm {
    fn difference(&self, found: &Self) -> Option<&'static str> {
        let Self { transposed, rotation, keys, values } = self;
        if *transposed != found.transposed {
            Some("V stored the other way round")
        } else if *rotation != found.rotation {
            Some("another rotation")
        } else if *keys != found.keys {
            Some("K of another type, size or number of layers")
        } else if *values != found.values {
            Some("V of another type, size or number of layers")
        } else {
            None
        }
    }
}

fn forms(state: &State<'_>) -> Vec<SectionForm> {
    let matrices = |matrices: &[intact_format::layout::Matrix<'_>]| {
        matrices.iter().map(|matrix| (matrix.kind.0, matrix.order)).collect()
    };
    state
        .sections
        .iter()
        .map(|section| match section {
            Section::Attention(cache) => SectionForm {
                transposed: cache.transposed,
                rotation: cache.rotation,
                keys: matrices(&cache.keys),
                values: matrices(&cache.values),
            },
            Section::Recurrent(memory) => SectionForm {
                transposed: false,
                rotation: None,
                keys: matrices(&memory.rows),
                values: matrices(&memory.states),
            },
        })
        .collect()
}
