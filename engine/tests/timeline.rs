//! The token stream of a session: interrupted and uninterrupted ones go on bit by bit alike.

use std::path::PathBuf;
use std::sync::Arc;

use intact_engine::llama::{Context, ContextSettings, Model, ModelSettings, SequenceState, Token};
use intact_engine::session::{Memory, Timeline};

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
        other.restore(&SequenceState::verified(state)).expect("taken");
        let mut restored = Timeline::restored(other, Memory::of(&model, None), all);
        let forced = tokens(5, 16);
        let expected = score(&mut live, &forced);
        assert!(expected == score(&mut restored, &forced), "{id}: restored");
        assert_eq!(restored.evaluations(), 17, "{id}");
        assert!(expected == score(&mut saved, &forced), "{id}: the saved one itself");
    }
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
