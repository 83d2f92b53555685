//! The token stream of a session: interrupted and uninterrupted ones go on bit by bit alike.

use std::path::PathBuf;
use std::sync::Arc;

use intact_engine::llama::{Context, ContextSettings, Model, ModelSettings, Part, SequenceState, Token};
use intact_engine::session::{Memory, Timeline};
use intact_format::layout::Container::Blob;
use intact_format::layout::{Attention, Layout, Section, encode_section, identify, parse};

fn model(id: &str) -> Arc<Model> {
    let path: PathBuf = intact_fixtures::cached(id).expect("a fixture model");
    Model::load(&path, &ModelSettings::default()).expect("a model")
}

fn context(model: &Arc<Model>) -> Context {
    let settings = ContextSettings { n_ctx: Some(1024), threads: Some(1), ..ContextSettings::default() };
    Context::new(model, &settings).expect("a context")
}

fn timeline(model: &Arc<Model>) -> Timeline {
    Timeline::new(context(model), Memory::of(model, None))
}

fn turn(timeline: &mut Timeline, prompt: &[Token], reply: &[Token]) {
    timeline.extend(prompt).expect("room");
    for &token in reply {
        timeline.push(token).expect("room");
    }
}

fn score(timeline: &mut Timeline, forced: &[Token]) -> Vec<Vec<u32>> {
    let bits = |row: &[f32]| row.iter().map(|logit| logit.to_bits()).collect::<Vec<_>>();
    let mut rows = vec![bits(timeline.logits().expect("logits").expect("tokens"))];
    for &token in forced {
        timeline.push(token).expect("room");
        rows.push(bits(timeline.logits().expect("logits").expect("tokens")));
    }
    rows
}

fn tokens(seed: i32, count: usize) -> Vec<Token> {
    (0..).map(|at: i32| Token(32 + (seed * 31 + at * 17 + at * at * 5) % 95)).take(count).collect()
}

#[test]
fn a_restored_stream_goes_on_as_the_uninterrupted_one_does() {
    for id in intact_fixtures::ids() {
        let model = model(id);
        let mut live = timeline(&model);
        turn(&mut live, &tokens(1, 150), &tokens(2, 20));
        turn(&mut live, &tokens(3, 90), &tokens(4, 30));

        let mut saved = timeline(&model);
        turn(&mut saved, &tokens(1, 150), &tokens(2, 20));
        turn(&mut saved, &tokens(3, 90), &tokens(4, 30));
        let state = saved.state().expect("a state").into_bytes();
        let all = saved.tokens().to_vec();

        let mut other = context(&model);
        #[expect(unsafe_code, reason = "a state of a context of the same model")]
        // SAFETY: it was read from a context like this one.
        let state = unsafe { SequenceState::assume_verified(state) };
        other.restore(&state).expect("taken");
        let mut restored = Timeline::restored(other, Memory::of(&model, None), all);
        let forced = tokens(5, 16);
        let expected = score(&mut live, &forced);
        assert!(expected == score(&mut restored, &forced), "{id}: restored");
        assert_eq!(restored.evaluations(), 17, "{id}");
        assert!(expected == score(&mut saved, &forced), "{id}: the saved one itself");
    }
}

#[test]
fn the_end_of_a_sequence_is_read_without_its_beginning_and_the_sequence_stays_as_it_is() {
    for id in intact_fixtures::ids() {
        let model = model(id);
        let mut live = context(&model);
        let mut untouched = context(&model);
        let all = tokens(1, 200);
        for context in [&mut live, &mut untouched] {
            context.evaluate(&all, 0).expect("room");
        }
        let before = live.state(Part::Whole).expect("a state").into_bytes();
        let shape = identify(&before, Layout::newest(), Blob).expect("a known layout");
        let whole = parse(&before, Layout::newest(), &shape, Blob).expect("understood");
        for from in [0, 1, 100, 199] {
            let mut bytes = Vec::new();
            live.tail(from, &mut bytes).expect("the end");
            let end = parse(&bytes, Layout::newest(), &shape, Blob).expect("understood");
            for (at, (whole, end)) in whole.sections.iter().zip(&end.sections).enumerate() {
                match (whole, end) {
                    (Section::Attention(whole), Section::Attention(end)) => {
                        let first = whole.cells.iter().position(|cell| cell.position >= from as i32);
                        let wanted = whole.slice(first.unwrap_or(0)..whole.cells.len());
                        assert!(written(wanted) == written(end.clone()), "{id}: cache {at} from {from} on");
                    }
                    (whole, end) => {
                        assert!(whole == end, "{id}: running state {at} beside the cells from {from} on");
                    }
                }
            }
            assert!(
                live.state(Part::Whole).expect("a state").bytes() == before,
                "{id}: after the end from {from} on"
            );
            assert_eq!(live.positions(), untouched.positions(), "{id}");
        }
        // Behind the end there is nothing, and asking for it harms nothing.
        assert!(live.tail(200, &mut Vec::new()).is_err(), "{id}");
        for context in [&mut live, &mut untouched] {
            context.evaluate(&tokens(2, 1), 200).expect("room");
        }
        assert!(live.logits() == untouched.logits(), "{id}: it goes on as if nobody had looked");
    }
}

fn written(cache: Attention<'_>) -> Vec<u8> {
    encode_section(&Section::Attention(cache), Layout::newest()).expect("written")
}

#[test]
fn a_token_that_is_held_back_and_evaluated_again_gives_the_same_logits() {
    for id in intact_fixtures::ids() {
        let model = model(id);
        let mut live = timeline(&model);
        turn(&mut live, &tokens(1, 150), &tokens(2, 60));
        let first = live.settled_logits().expect("logits").expect("tokens").to_vec();
        live.hold_back().expect("held back");
        assert!(live.is_pending());
        let again = live.settled_logits().expect("logits").expect("tokens").to_vec();
        assert!(first == again, "{id}");
        assert_eq!(live.evaluations(), 211, "{id}: one token more than there are");
    }
}

#[test]
fn a_turn_that_is_taken_back_leaves_the_stream_as_if_it_had_not_been() {
    for id in intact_fixtures::ids() {
        let model = model(id);
        let mut live = timeline(&model);
        turn(&mut live, &tokens(1, 150), &tokens(2, 20));
        let before = live.tokens().len();
        turn(&mut live, &tokens(3, 90), &tokens(4, 30));
        live.truncate(before).expect("cut");

        let mut plain = timeline(&model);
        turn(&mut plain, &tokens(1, 150), &tokens(2, 20));
        assert_eq!(live.tokens(), plain.tokens());
        let (left, right) = (score(&mut live, &tokens(5, 4)), score(&mut plain, &tokens(5, 4)));
        let exact = left == right;
        assert!(exact, "{id}");
    }
}
