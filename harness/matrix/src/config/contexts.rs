//! The lengths of contexts that the matrix has, and how long a session must be for them to mean something.

use super::{AxisConfig, Config};

/// Lengths of contexts, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contexts {
    /// That of most cells.
    pub usual: Option<u32>,
    /// The smallest one.
    pub smallest: u32,
}

/// What sets the length of a context.
const SETTING: [&str; 2] = ["writer.n_ctx", "reader.n_ctx"];
/// Tokens by which a session is to be longer than what it outgrows: there is no doubt then.
const CLEARLY: u32 = 8;
/// Tokens that a context keeps free beside a reply: what is scored, and a question with its framing.
const BESIDE: u32 = 96;

impl Config {
    /// The lengths of contexts in the matrix.
    #[must_use]
    pub fn contexts(&self) -> Contexts {
        let sets = |name: &'static str| {
            self.axes.iter().filter(move |axis| axis.sets.iter().any(|target| target.get_ref() == name))
        };
        let lengths = SETTING.into_iter().flat_map(sets).flat_map(AxisConfig::values);
        let usual = sets(SETTING[0]).find_map(|axis| axis.base().parse().ok());
        Contexts { usual, smallest: lengths.filter_map(|value| value.parse().ok()).min().unwrap_or(0) }
    }
}

impl Contexts {
    /// How many tokens a session in a context of this length is to exceed, and whether that is more than the window. A
    /// quarter of the context is for a reply.
    #[must_use]
    pub fn to_outgrow(self, n_ctx: u32, window: Option<u32>) -> (u32, bool) {
        let most = n_ctx.saturating_sub(n_ctx / 4 + BESIDE);
        let wanted = self.smallest.saturating_add(CLEARLY);
        match window.map(|window| window.saturating_add(CLEARLY)) {
            Some(window) if window <= most => (wanted.max(window).min(most), true),
            Some(_) => (wanted.min(most), false),
            None => (wanted.min(most), true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_CONFIG;

    #[test]
    fn a_session_outgrows_the_smallest_context_and_the_window_where_it_fits() {
        let config = Config::parse(DEFAULT_CONFIG, "intact.toml".as_ref()).expect("the built-in one");
        let contexts = config.contexts();
        assert_eq!(contexts, Contexts { usual: Some(1024), smallest: 256 });
        for (n_ctx, window, expected) in [
            (1024, None, (264, true)),
            (1024, Some(64), (264, true)),
            (1024, Some(512), (520, true)),
            (1024, Some(4096), (264, false)),
            (256, None, (96, true)),
            (0, None, (0, true)),
        ] {
            assert_eq!(contexts.to_outgrow(n_ctx, window), expected, "{n_ctx} {window:?}");
        }
    }
}
