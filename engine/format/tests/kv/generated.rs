//! Sequence states of every layout and shape, made up.

use std::borrow::Cow;

use intact_format::layout::{
    Attention, AttentionShape, Block, Cell, CellData, CellExtension, Container, GgmlType, LAYOUTS, Layout,
    Matrix, Order, Recurrent, Rotation, RotationRule, SecondRow, Section, State, StreamShape,
};
use proptest::prelude::*;
use proptest::sample::Index;

/// A state, and the framing that it is to be written in.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    pub(crate) layout: &'static Layout,
    pub(crate) container: Container,
    pub(crate) state: State<'static>,
}

/// Choices of one section, before they are fitted to a layout.
#[derive(Clone, Debug)]
struct Choices {
    recurrent: bool,
    cells: usize,
    first_position: i32,
    layers: usize,
    flags: [bool; 4],
    kinds: [usize; 2],
    blocks: u64,
    rotation: [usize; 2],
    seed: u64,
}

const KINDS: [GgmlType; 5] = [GgmlType::F32, GgmlType::F16, GgmlType::BF16, GgmlType::Q8_0, GgmlType::Q4_0];

/// Any state of any layout.
pub(crate) fn states() -> impl Strategy<Value = Generated> {
    let sections = prop::collection::vec(choices(), 1..=3);
    (any::<Index>(), any::<bool>(), 1u32..=4, any::<Index>(), 0i32..256, sections).prop_map(
        |(layout, blob, streams, stream, sequence, sections)| {
            let layout = layout.get(&LAYOUTS);
            let count = if layout.stream_count { streams } else { 1 };
            let attention = sections.iter().any(|section| !section.recurrent);
            let container = if blob { Container::Blob } else { Container::File };
            let prefix = blob && layout.blob_prefix;
            let state = State {
                // A recurrent section names neither its sequence nor its stream.
                sequence: if attention || prefix { sequence } else { 0 },
                streams: if attention {
                    StreamShape {
                        count,
                        index: u32::try_from(stream.index(count as usize)).expect("small numbers"),
                    }
                } else {
                    StreamShape::SINGLE
                },
                sections: sections.iter().map(|choices| section(choices, layout)).collect(),
            };
            Generated { layout, container, state }
        },
    )
}

/// A state of one attention section that starts its sequence, in a layout of one's choice.
pub(crate) fn dense(layout: &'static Layout, cells: usize, seed: u64) -> State<'static> {
    let choices = choices_of(cells, seed);
    let mut section = section(&choices, layout);
    if let Section::Attention(section) = &mut section {
        for (index, cell) in section.cells.iter_mut().enumerate() {
            cell.position = i32::try_from(index).expect("small numbers");
        }
    }
    State { sequence: 0, streams: StreamShape::SINGLE, sections: vec![section] }
}

/// A recurrent section.
pub(crate) fn recurrent(layout: &Layout, seed: u64) -> Section<'static> {
    let choices = Choices { recurrent: true, ..choices_of(1, seed) };
    section(&choices, layout)
}

fn choices_of(cells: usize, seed: u64) -> Choices {
    Choices {
        recurrent: false,
        cells,
        first_position: 0,
        layers: 2,
        flags: [false, true, false, false],
        kinds: [1, 1],
        blocks: 8,
        rotation: [0, 0],
        seed,
    }
}

fn choices() -> impl Strategy<Value = Choices> {
    let first_position = prop_oneof![Just(0), 0i32..5000];
    let choices =
        (any::<bool>(), 1usize..40, first_position, 1usize..4, any::<[bool; 4]>(), [0usize..5, 0usize..5]);
    (choices, 0u64..3, [0usize..3, 0usize..3], any::<u64>()).prop_map(
        |((recurrent, cells, first_position, layers, flags, kinds), blocks, rotation, seed)| Choices {
            recurrent,
            cells,
            first_position,
            layers,
            flags,
            kinds,
            blocks,
            rotation,
            seed,
        },
    )
}

fn section(choices: &Choices, layout: &Layout) -> Section<'static> {
    let mut noise = Noise(choices.seed);
    if choices.recurrent {
        Section::Recurrent(recurrent_of(choices, layout, &mut noise))
    } else {
        Section::Attention(attention(choices, layout, &mut noise))
    }
}

fn attention(choices: &Choices, layout: &Layout, noise: &mut Noise) -> Attention<'static> {
    let [extended_cells, values, transposed, _] = choices.flags;
    let extended_cells = extended_cells && layout.cell_extension != CellExtension::Absent;
    let mut position = choices.first_position;
    let cells = (0..choices.cells)
        .map(|_| {
            let cell = Cell { position, extension: extended_cells.then(|| cell_data(layout, noise)) };
            position += i32::try_from(noise.below(2)).expect("small numbers");
            cell
        })
        .collect::<Vec<_>>();
    let count = cells.len();
    let kinds = choices.kinds.map(|kind| KINDS[kind]);
    let transposed = transposed && !kinds[1].is_quantized();
    let sizes = [0, 64, 128];
    let rotation = Rotation { keys: sizes[choices.rotation[0]], values: sizes[choices.rotation[1]] };
    Attention {
        shape: AttentionShape { extended_cells, values },
        cells,
        transposed,
        rotation: (layout.rotation == RotationRule::Recorded).then_some(rotation),
        keys: (0..choices.layers).map(|_| by_cell(kinds[0], choices.blocks, count, noise)).collect(),
        values: (0..if values { choices.layers } else { 0 })
            .map(|_| {
                if transposed {
                    by_element(kinds[1], choices.blocks, count, noise)
                } else {
                    by_cell(kinds[1], choices.blocks, count, noise)
                }
            })
            .collect(),
    }
}

fn cell_data(layout: &Layout, noise: &mut Noise) -> CellData {
    let mut coordinate = || i32::try_from(noise.below(100)).expect("small numbers");
    CellData {
        x: coordinate(),
        y: coordinate(),
        token: (layout.cell_extension == CellExtension::PositionAndToken).then(|| coordinate() - 1),
    }
}

fn recurrent_of(choices: &Choices, layout: &Layout, noise: &mut Noise) -> Recurrent<'static> {
    let cells = choices.cells.min(2);
    let layers = u32::try_from(choices.layers).expect("small numbers");
    let rows = (0..layers).map(|_| by_cell(GgmlType::F32, 4, cells, noise)).collect();
    let second = layout.second_rows && choices.flags[3];
    Recurrent {
        positions: (0..cells).map(|_| choices.first_position).collect(),
        model_layers: layers + u32::try_from(noise.below(3)).expect("small numbers"),
        rows,
        second_rows: (0..layers)
            .filter(|layer| second && (choices.seed >> layer) & 1 == 1)
            .map(|layer| SecondRow { layer, matrix: by_cell(GgmlType::F32, 3, cells, noise) })
            .collect(),
        states: (0..layers).map(|_| by_cell(GgmlType::F32, 5, cells, noise)).collect(),
    }
}

fn by_cell(kind: GgmlType, blocks: u64, cells: usize, noise: &mut Noise) -> Matrix<'static> {
    let row_bytes = blocks * u64::from(kind.block().expect("a cache type").bytes);
    matrix(kind, Order::ByCell { row_bytes }, cells, noise)
}

fn by_element(kind: GgmlType, elements: u64, cells: usize, noise: &mut Noise) -> Matrix<'static> {
    let element_bytes = kind.block().expect("a cache type").bytes;
    let order = Order::ByElement { element_bytes, elements: u32::try_from(elements).expect("small numbers") };
    matrix(kind, order, cells, noise)
}

fn matrix(kind: GgmlType, order: Order, cells: usize, noise: &mut Noise) -> Matrix<'static> {
    let bytes = (0..order.cell_bytes() * cells as u64).map(|_| noise.byte()).collect::<Vec<_>>();
    Matrix {
        kind,
        order,
        blocks: vec![Block { bytes: Cow::Owned(bytes), stored_cells: cells, cells: 0..cells }],
    }
}

/// Reproducible bytes (SplitMix64).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("small numbers")
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
