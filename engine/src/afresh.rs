//! The same tokens in another batch shape: what a session says by itself, before anything was saved.

use crate::engine::Engine;
use crate::error::EngineError;
use crate::llama::Token;
use crate::session::Timeline;

impl Engine {
    /// The logits that [`crate::session::Session::score`] would give, of the same tokens evaluated in a context of their
    /// own, all of them together. The session stays as it is. How far both are apart is the noise of this model under
    /// these settings: nobody can tell which one is right.
    ///
    /// # Errors
    /// When there is no such session, it is empty, the text does not fit, or evaluation fails.
    pub fn score_afresh(
        &mut self,
        id: &str,
        text: &str,
        max_tokens: usize,
    ) -> Result<(Vec<Token>, Vec<Vec<f32>>), EngineError> {
        let session = self.session(id)?;
        let (id, parameters) = (session.id.clone(), session.parameters.clone());
        let held = session.timeline.tokens().to_vec();
        let mut tokens = session.model().tokenize(text, false, false);
        tokens.truncate(max_tokens);
        let preset = self.preset().map(str::to_owned);
        let room = self.room(&parameters, preset.as_deref())?;
        let mut timeline = Timeline::new(room.context, room.memory);
        timeline.extend(&held)?;
        let rows = timeline.scored(&tokens)?.ok_or(EngineError::Empty { id })?;
        self.vacate(timeline);
        Ok((tokens, rows))
    }
}
