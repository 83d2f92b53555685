//! The path that every wrapper of llama.cpp takes: its own state file or blob into the live sequence, and a bare JSON for
//! the rest. No integrity, no identity, no checks. It exists to show what the unprotected path does where the engine refuses or
//! re-encodes; nothing else should use it.

use std::fs;
use std::path::{Path, PathBuf};

use intact_format::message::Role;
use intact_format::place::sidecar_path;
#[cfg(feature = "blind")]
use intact_format::session_id::SessionId;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::llama::{Container, Token};
#[cfg(feature = "blind")]
use crate::options::StartOptions;
#[cfg(feature = "blind")]
use crate::session::Chat;

/// What the bare JSON holds.
#[derive(Serialize, Deserialize)]
struct BareSession {
    session: String,
    messages: Vec<BareMessage>,
    tokens: Vec<Token>,
    /// Tokens that the state holds.
    #[serde(default)]
    cached: usize,
}

#[derive(Serialize, Deserialize)]
struct BareMessage {
    role: Role,
    content: String,
    tokens: Vec<Token>,
}

/// What a blind load gave.
#[cfg(feature = "blind")]
#[derive(Debug, Clone)]
pub struct BlindlyLoaded {
    /// The session.
    pub id: SessionId,
    /// Tokens that the state file said it holds; of a raw blob, those that are in the memory afterwards.
    pub tokens_restored: usize,
}

impl Engine {
    /// Saves blindly: the bare JSON at `path`, llama.cpp's state beside it as `<name>.kv`. Gives both paths.
    ///
    /// # Errors
    /// When there is no such session, or a file cannot be written.
    pub fn blind_save(
        &mut self,
        id: &str,
        path: &Path,
        container: Container,
    ) -> Result<[PathBuf; 2], EngineError> {
        let session = self.session(id)?;
        let messages = session.chat().messages().iter().map(|message| BareMessage {
            role: message.role,
            content: message.content.clone(),
            tokens: message.tokens.clone().unwrap_or_default(),
        });
        let tokens = session.timeline().tokens();
        let bare = BareSession {
            session: session.id().to_string(),
            messages: messages.collect(),
            tokens: tokens.to_vec(),
            cached: session.timeline().in_memory(),
        };
        let state = sidecar_path(path);
        session.timeline().context().keep(container, &state, &tokens[..bare.cached])?;
        let failed = |cause| EngineError::Io { action: "write", path: path.to_owned(), cause };
        let json = serde_json::to_vec(&bare).map_err(|error| failed(error.into()))?;
        fs::write(path, json).map_err(failed)?;
        Ok([path.to_owned(), state])
    }

    /// Loads blindly, into the live session of that id where there is one.
    ///
    /// # Safety
    /// As [`Context::take_back_unverified`](crate::llama::Context::take_back_unverified): the process may die of it, or worse.
    ///
    /// # Errors
    /// When a file cannot be read, or llama.cpp refuses; the live session's memory is gone then.
    #[cfg(feature = "blind")]
    #[expect(unsafe_code, reason = "it hands a file to C unverified")]
    pub unsafe fn blind_load(
        &mut self,
        path: &Path,
        id: Option<&str>,
        container: Container,
    ) -> Result<BlindlyLoaded, EngineError> {
        let failed = |cause| EngineError::Io { action: "read", path: path.to_owned(), cause };
        let bytes = intact_format::regular::read(path).map_err(failed)?;
        let bare: BareSession = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        let id = SessionId::new(id.unwrap_or(&bare.session))?;
        if self.session(id.as_str()).is_err() {
            let options = StartOptions {
                id: Some(id.to_string()),
                system_prompt: Some(String::new()),
                ..StartOptions::default()
            };
            self.start(options)?;
        }
        let session = self.session_mut(id.as_str())?;
        let context = session.timeline.context_mut();
        // SAFETY: as the caller promises.
        let named = unsafe { context.take_back_unverified(container, &sidecar_path(path)) }?;
        let (believed, restored) = match named {
            Some(tokens) => (tokens.len(), tokens.len()),
            None => (bare.cached, context.positions().map_or(0, |(_, last)| last + 1)),
        };
        let mut chat = Chat::default();
        let mut start = 0;
        for message in bare.messages {
            chat.push(message.role, message.content);
            chat.note_run(start, &message.tokens);
            start += message.tokens.len();
        }
        session.chat = chat;
        session.timeline.overwrite(bare.tokens, believed);
        self.current = Some(id.clone());
        Ok(BlindlyLoaded { id, tokens_restored: restored })
    }
}
