//! What was seen in a cell.

use intact_protocol::{AxisReport, Logits, Receipt, Refusal, WorkerError};

use super::Floor;
use crate::distance::Distance;

/// What was seen in a cell.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// The load reported success.
    Loaded(Box<LoadedEvidence>),
    /// The load was refused.
    Refused {
        /// What the subject said.
        refusal: Refusal,
        /// What became of live sessions.
        harm: Harm,
    },
    /// The load failed in a way that the subject did not foresee.
    Failed {
        /// What the subject said.
        message: String,
        /// What became of live sessions.
        harm: Harm,
    },
    /// The load reported success, and the session cannot be continued.
    Unusable {
        /// What the subject said of the load.
        receipt: Receipt,
        /// What it said afterwards.
        message: String,
    },
    /// The subject cannot do what the cell asks.
    Unsupported {
        /// What the subject said.
        message: String,
    },
    /// The worker failed.
    Died(WorkerError),
}

/// What was seen after a load that reported success.
#[derive(Debug, Clone)]
pub struct LoadedEvidence {
    /// What the subject said of the load.
    pub receipt: Receipt,
    /// Seconds from the request to load to its answer.
    pub load_seconds: f64,
    /// Tokens that were evaluated when the session was loaded before, where it was passed on.
    pub evaluated_before: u32,
    /// Tokens of the session that was saved.
    pub saved_tokens: u32,
    /// What the loaded chat differs in from the one that was saved, where the subject shows its chat.
    pub history_difference: Option<String>,
    /// Digest of the parameters that were saved, where the load was asked to restore them and the subject tells.
    pub saved_parameters: Option<String>,
    /// Logits of the loaded session over the forced continuation.
    pub observed: Logits,
    /// What was sampled from it, where that is comparable.
    pub sampled: Option<Sampled>,
    /// Logits of the uninterrupted session; or why there are none.
    pub reference: Result<Logits, String>,
    /// How far the reference is from the same session under the writer's settings, where only settings differ: what
    /// the change of settings costs by itself.
    pub cost_of_settings: Option<Distance>,
    /// How far the uninterrupted sessions of both sides are from themselves in another batch shape; none where that could
    /// not be measured.
    pub noise: Option<Floor>,
    /// What differs between the two sides so that the last bits may, as far as the harness knows: the settings that
    /// choose kernels, the release, the machine.
    pub differs: Option<String>,
    /// Sessions of both sides differ by more than the last bits: the reader keeps K and V in another type or turned
    /// otherwise, or its positions or adapters make another model of it.
    pub means_otherwise: bool,
    /// What became of other live sessions.
    pub harm: Harm,
}

/// A sampled reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Of the loaded session.
    pub observed: String,
    /// Of the uninterrupted one.
    pub reference: String,
}

impl Sampled {
    /// Characters after which the replies are no longer the same; `None` where they are.
    pub(super) fn parts_after(&self) -> Option<usize> {
        let pairs = self.observed.chars().zip(self.reference.chars());
        (self.observed != self.reference).then(|| pairs.take_while(|(a, b)| a == b).count())
    }
}

/// What became of live sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// They answer bit by bit as if nothing had happened.
    None,
    /// They do not: what is different.
    Done(String),
}

impl LoadedEvidence {
    /// How far sessions are apart that were never saved: in another batch shape on either side, and from side to side
    /// where the settings that differ lose nothing by themselves.
    pub(super) fn floor(&self) -> Option<Floor> {
        let across = self.cost_of_settings.filter(|_| !self.means_otherwise).map(Floor::of);
        [self.noise, across].into_iter().flatten().reduce(Floor::or)
    }

    /// What explains that logits are not the reference's to the last bit; none where nothing does.
    pub(super) fn explanation(&self) -> Option<&str> {
        let named =
            |axis: &&AxisReport| axis.consequence != SAME && OF_THE_MACHINE.contains(&axis.axis.as_str());
        let told = || self.receipt.axes.iter().find(named).map(|axis| axis.axis.as_str());
        self.differs.as_deref().or_else(told)
    }
}

/// The consequence of an axis that does not differ.
const SAME: &str = "same";
/// What a receipt says of the machine, which the harness does not choose.
const OF_THE_MACHINE: [&str; 3] = ["backend", "cpu-features", "release"];
