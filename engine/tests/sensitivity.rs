//! The fixture models can tell: altering any one cell of a saved state, or any part of a recurrent one, shows in the
//! logits. Without this, every oracle built on them would be blind.

use std::ops::Range;
use std::sync::Arc;

use intact_engine::llama::{
    Context, ContextSettings, FlashAttention, Model, ModelSettings, Part, SequenceState, Token,
};
use intact_fixtures::{ModelEntry, N_VOCAB, Purpose};
use intact_format::layout::{
    Container, Layout, Matrix, MemoryShape, Order, Section, State, encode, identify, parse,
};

/// Tokens of a session: more than any fixture's window.
const SESSION: usize = 160;
/// Teacher-forced tokens.
const FORCED: usize = 16;
/// Trials for each model and setting.
const TRIALS: u64 = 100;
/// Trials that may change nothing. A window's oldest cell is saved though no later token sees it.
const UNSEEN: u64 = 5;

/// Parts of a recurrent row that are overwritten one at a time.
const PARTS: usize = 32;

struct Setting {
    type_k: &'static str,
    type_v: &'static str,
    flash_attention: FlashAttention,
}

static SETTINGS: [Setting; 4] = [
    Setting { type_k: "f16", type_v: "f16", flash_attention: FlashAttention::Off },
    Setting { type_k: "f16", type_v: "f16", flash_attention: FlashAttention::On },
    Setting { type_k: "q8_0", type_v: "q8_0", flash_attention: FlashAttention::On },
    Setting { type_k: "q4_0", type_v: "q4_0", flash_attention: FlashAttention::On },
];

/// Every setting for the models of every plan, llama.cpp's own defaults for the others.
fn settings_for(model: &ModelEntry) -> &'static [Setting] {
    if model.family.purpose == Purpose::RoundTrip { &SETTINGS } else { &SETTINGS[1..2] }
}

#[test]
fn overwriting_any_single_cell_or_part_of_a_state_changes_the_logits() {
    for_every_model(|model| {
        for setting in settings_for(model) {
            let mut bench = Bench::new(model, setting);
            let (saved, _) = bench.save();
            let control = bench.score(&saved);
            assert_eq!(bench.score(&saved), control, "{}: the same state gives other logits", model.id);
            let shape = identify(saved.bytes(), Layout::newest(), Container::Blob).expect("a known layout");
            let unseen = (0..TRIALS)
                .map(|trial| overwritten(&saved, &shape, trial))
                .filter(|(altered, _)| bench.score(altered) == control)
                .map(|(_, what)| what)
                .collect::<Vec<_>>();
            let Setting { type_k, flash_attention, .. } = setting;
            assert!(
                unseen.len() as u64 <= UNSEEN,
                "{} with {type_k} and flash attention {flash_attention:?} does not see {unseen:?}",
                model.id
            );
        }
    });
}

#[test]
fn the_state_of_other_weights_is_far_outside_any_noise() {
    const FAR: f64 = 0.1;
    for_every_model(|model| {
        let setting = &SETTINGS[1];
        let mut bench = Bench::new(model, setting);
        let (_, control) = bench.save();
        for other in intact_fixtures::list().iter().filter(|other| is_other_weights(model, other)) {
            let (foreign, _) = Bench::new(other, setting).save();
            let distance = nmse(&control, &bench.score(&foreign));
            assert!(
                distance > FAR,
                "{} takes the state of {} with an error of {distance}",
                model.id,
                other.id
            );
        }
    });
}

#[test]
fn logits_are_finite_and_far_from_even() {
    for_every_model(|model| {
        let (_, control) = Bench::new(model, &SETTINGS[1]).save();
        let rows =
            control.chunks_exact(N_VOCAB as usize).map(|row| row.iter().map(|bits| f32::from_bits(*bits)));
        let entropies: Vec<f64> = rows.map(entropy).collect();
        let mean = entropies.iter().sum::<f64>() / entropies.len() as f64;
        let even = (N_VOCAB as f64).ln();
        assert!((0.5..0.85 * even).contains(&mean), "{}: {mean:.2} of {even:.2} nats", model.id);
    });
}

/// Runs a check on every round-trip model, on two threads.
fn for_every_model(check: impl Fn(&ModelEntry) + Sync) {
    let models: Vec<_> =
        intact_fixtures::list().iter().filter(|model| model.family.purpose != Purpose::KvShape).collect();
    let (left, right) = models.split_at(models.len() / 2);
    std::thread::scope(|scope| {
        for half in [left, right] {
            scope.spawn(|| half.iter().for_each(|model| check(model)));
        }
    });
}

fn is_other_weights(model: &ModelEntry, other: &ModelEntry) -> bool {
    other.family.name == model.family.name && other.seed != model.seed
}

/// A model in a context, and the session that is tried on it.
struct Bench {
    context: Context,
    tokens: Vec<Token>,
    forced: Vec<Token>,
}

impl Bench {
    fn new(model: &ModelEntry, setting: &Setting) -> Self {
        let path = intact_fixtures::cached(&model.id).expect("a fixture model");
        let model = Model::load(&path, &ModelSettings::default()).expect("a model");
        let settings = ContextSettings {
            n_ctx: Some(256),
            threads: Some(1),
            type_k: Some(setting.type_k.into()),
            type_v: Some(setting.type_v.into()),
            flash_attention: Some(setting.flash_attention),
            ..ContextSettings::default()
        };
        let context = Context::new(&Arc::clone(&model), &settings).expect("a context");
        let draw = |stream: u64, count: usize| {
            (0..count as u64).map(|i| Token::from(draw(stream, i, N_VOCAB) as i32)).collect()
        };
        Self { context, tokens: draw(1, SESSION), forced: draw(2, FORCED) }
    }

    /// The state one token before the session's end, and the logits of what follows.
    fn save(&mut self) -> (SequenceState, Vec<u32>) {
        self.context.clear();
        self.context.evaluate(&self.tokens[..SESSION - 1], 0).expect("evaluated");
        let saved = self.context.state(Part::Whole).expect("a state");
        (saved, self.go_on())
    }

    /// The logits of what follows on a restored state, as bits.
    fn score(&mut self, state: &SequenceState) -> Vec<u32> {
        self.context.clear();
        #[expect(
            unsafe_code,
            reason = "the state may be another model's of the same shape, which is what is told apart"
        )]
        // SAFETY: it was read from a context of a model that has the same shape, with the same settings.
        let state = unsafe { SequenceState::assume_verified(state.bytes().to_vec()) };
        self.context.restore(&state).expect("restored");
        self.go_on()
    }

    fn go_on(&mut self) -> Vec<u32> {
        let following = [self.tokens[SESSION - 1]].into_iter().chain(self.forced.iter().copied());
        let mut bits = Vec::new();
        for (position, token) in (SESSION - 1..).zip(following) {
            self.context.evaluate(&[token], position).expect("evaluated");
            bits.extend(self.context.logits().iter().map(|logit| logit.to_bits()));
        }
        bits
    }
}

/// A state with one cell's K or V of one layer, or one part of a recurrent row, replaced by another's; and which one.
fn overwritten(saved: &SequenceState, shape: &MemoryShape, trial: u64) -> (SequenceState, String) {
    let layout = Layout::newest();
    let mut state = parse(saved.bytes(), layout, shape, Container::Blob).expect("parsed");
    let mut matrices = matrices(&mut state);
    let count = matrices.len() as u64;
    let (name, matrix) = &mut matrices[(trial % count) as usize];
    let what = format!("{name} {}", overwrite(matrix, trial));
    let bytes = encode(&state, layout, Container::Blob).expect("encoded");
    assert_ne!(bytes, saved.bytes(), "{what} is as it was");
    #[expect(unsafe_code, reason = "numbers of a state that was read are replaced by others")]
    // SAFETY: its form is the one that was read.
    let state = unsafe { SequenceState::assume_verified(bytes) };
    (state, what)
}

fn matrices<'s, 'b>(state: &'s mut State<'b>) -> Vec<(String, &'s mut Matrix<'b>)> {
    let mut found = Vec::new();
    for (number, section) in state.sections.iter_mut().enumerate() {
        let groups = match section {
            Section::Attention(attention) => [("K", &mut attention.keys), ("V", &mut attention.values)],
            Section::Recurrent(recurrent) => [("row", &mut recurrent.rows), ("state", &mut recurrent.states)],
        };
        for (kind, layers) in groups {
            let named = |(layer, matrix)| (format!("section {number} {kind} layer {layer}"), matrix);
            found.extend(
                layers.iter_mut().enumerate().map(named).filter(|(_, matrix)| matrix.order.cell_bytes() > 0),
            );
        }
    }
    found
}

/// Copies one cell's values over another's; where there is one cell only, one part of it over another part.
fn overwrite(matrix: &mut Matrix<'_>, trial: u64) -> String {
    let order = matrix.order;
    let block = &mut matrix.blocks[0];
    let cells = block.stored_cells;
    let bytes = block.bytes.to_mut();
    let places: Vec<Vec<Range<usize>>> = match order {
        Order::ByCell { row_bytes } if cells == 1 => parts(row_bytes as usize),
        Order::ByCell { row_bytes } => (0..cells).map(|cell| vec![span(cell, row_bytes as usize)]).collect(),
        Order::ByElement { element_bytes, elements } => {
            let column = |cell: usize| {
                (0..elements as usize)
                    .map(move |element| span(element * cells + cell, element_bytes as usize))
                    .collect()
            };
            (0..cells).map(column).collect()
        }
    };
    let count = places.len() as u64;
    let chosen = draw(3, trial, count);
    let sources = (1..count).map(|step| ((chosen + draw(4, trial, count) + step) % count) as usize);
    let differing = |source: &usize| {
        places[*source]
            .iter()
            .zip(&places[chosen as usize])
            .any(|(from, to)| bytes[from.clone()] != bytes[to.clone()])
    };
    let source = sources.into_iter().find(differing).expect("cells are not all alike");
    for (from, to) in places[source].iter().zip(&places[chosen as usize]) {
        bytes.copy_within(from.clone(), to.start);
    }
    format!("{chosen} of {count}")
}

fn parts(row_bytes: usize) -> Vec<Vec<Range<usize>>> {
    let length = (row_bytes / PARTS).next_multiple_of(size_of::<f32>());
    (0..row_bytes / length).map(|part| vec![span(part, length)]).collect()
}

fn span(index: usize, length: usize) -> Range<usize> {
    index * length..(index + 1) * length
}

/// Number `index` of a stream, below `limit`.
fn draw(stream: u64, index: u64, limit: u64) -> u64 {
    let mut bits = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03);
    for _ in 0..3 {
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (bits >> 33) % limit
}

fn nmse(control: &[u32], observed: &[u32]) -> f64 {
    let value = |bits: &u32| f64::from(f32::from_bits(*bits));
    let error: f64 = control.iter().zip(observed).map(|(c, o)| (value(c) - value(o)).powi(2)).sum();
    error / control.iter().map(|c| value(c).powi(2)).sum::<f64>()
}

/// In nats; fails where a logit is not finite.
fn entropy(row: impl Iterator<Item = f32>) -> f64 {
    let row: Vec<f64> =
        row.map(f64::from).inspect(|logit| assert!(logit.is_finite(), "a logit is {logit}")).collect();
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
    row.iter().map(|logit| (logit - largest).exp() / sum).map(|p| -p * p.max(f64::MIN_POSITIVE).ln()).sum()
}
