//! Contexts that sessions have left, emptied, for sessions to come: making one takes longer than restoring into it.

use std::collections::VecDeque;
use std::thread::{self, JoinHandle};

use crate::llama::{Context, ContextSettings};

/// Contexts that no session has. They are emptied on a thread of their own, so that whoever leaves one does not wait.
#[derive(Debug)]
pub(crate) struct Spares {
    most: usize,
    emptied: VecDeque<(ContextSettings, JoinHandle<Context>)>,
}

impl Spares {
    /// Keeps at most so many contexts; none where that is 0.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, emptied: VecDeque::new() }
    }

    /// An empty context of exactly these settings, if there is one.
    pub(crate) fn take(&mut self, settings: &ContextSettings) -> Option<Context> {
        let at = self.emptied.iter().position(|(of, _)| of == settings)?;
        self.emptied.remove(at)?.1.join().ok()
    }

    /// Keeps a context, in place of the oldest one where there are too many.
    pub(crate) fn keep(&mut self, mut context: Context) {
        if self.most == 0 {
            return;
        }
        if self.emptied.len() >= self.most {
            self.emptied.pop_front().map(|(_, oldest)| oldest.join());
        }
        let settings = context.settings().clone();
        let emptied = thread::spawn(move || {
            context.clear();
            context
        });
        self.emptied.push_back((settings, emptied));
    }

    /// Frees all of them. Says whether there were any.
    pub(crate) fn free(&mut self) -> bool {
        let any = !self.emptied.is_empty();
        // What a context held goes with it, whether or not emptying it worked.
        self.emptied.drain(..).for_each(|(_, context)| drop(context.join()));
        any
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.free();
    }
}
