//! One side of a cell, and what is played between the two.

use intact_protocol::Settings;

/// One side of a cell: everything about it but the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// Settings of its contexts.
    pub settings: Settings,
    /// The preset that its sessions are created from.
    pub preset: Option<String>,
    /// Name of the model's LoRA adapters that are applied.
    pub adapter: Option<String>,
    /// Name of the model's control vectors that are applied.
    pub control_vector: Option<String>,
    /// llama.cpp's rotation of quantized K and V is switched off.
    pub unrotated: bool,
    /// The installed subject, `name@version`, that takes the place of the cell's; `None` for that one.
    pub subject: Option<String>,
    /// The llama.cpp release; `None` for that of the configured worker.
    pub release: Option<String>,
    /// The backend of that release that computes, by its name; `None` for the one that releases are compared on.
    pub backend: Option<String>,
    /// What the unprotected subject keeps states in; `None` for its own default.
    pub container: Option<String>,
    /// It plays a release whose layout is not known.
    pub forgets_layouts: bool,
}

/// The environment variable that switches llama.cpp's rotation of quantized K and V off.
const NO_ROTATION: (&str, &str) = ("LLAMA_ATTN_ROT_DISABLE", "1");

impl Place {
    /// Environment variables of its process.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let variable = self.unrotated.then(|| (NO_ROTATION.0.to_owned(), NO_ROTATION.1.to_owned()));
        variable.into_iter().collect()
    }

    /// Names of what chooses other kernels here than there, or another order of the same sums. Other weights, adapters or
    /// positions are none of it: what they computed is not what is computed here, however near it comes.
    #[must_use]
    pub fn computes_otherwise(&self, there: &Self) -> Vec<&'static str> {
        let (mine, theirs) = (&self.settings, &there.settings);
        let differing = [
            ("the subject", self.subject != there.subject),
            ("the release", self.release != there.release),
            ("the backend", self.backend != there.backend),
            ("the type of K", mine.type_k != theirs.type_k),
            ("the type of V", mine.type_v != theirs.type_v),
            ("rotation", self.unrotated != there.unrotated),
            ("flash attention", mine.flash_attention != theirs.flash_attention),
            ("the batch size", mine.n_batch != theirs.n_batch || mine.n_ubatch != theirs.n_ubatch),
            ("the number of threads", mine.threads != theirs.threads),
        ];
        differing.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// Whether two sessions that are held here and there differ by more than by the last bits of what is computed: K and V
    /// are kept in another type or turned otherwise, or other positions or adapters make another model of it.
    #[must_use]
    pub fn means_otherwise(&self, there: &Self) -> bool {
        let (mine, theirs) = (&self.settings, &there.settings);
        (&mine.type_k, &mine.type_v, self.unrotated) != (&theirs.type_k, &theirs.type_v, there.unrotated)
            || (mine.rope_freq_base, mine.rope_freq_scale, mine.yarn_ext_factor)
                != (theirs.rope_freq_base, theirs.rope_freq_scale, theirs.yarn_ext_factor)
            || (&self.adapter, &self.control_vector) != (&there.adapter, &there.control_vector)
    }

    /// The same but for how replies are sampled.
    #[must_use]
    pub fn sampling_as(&self, other: &Self) -> Self {
        let settings = Settings { sampling: other.settings.sampling.clone(), ..self.settings.clone() };
        Self { settings, ..self.clone() }
    }
}

/// What a session is when it is saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionForm {
    /// The conversation's turns.
    #[default]
    Turns,
    /// The turns several times over, then older messages leave: longer than any window, and than the smaller contexts, which it outgrows.
    Long,
    /// One message and a reply of one token.
    OneToken,
    /// The turns, and a reply that was interrupted after some tokens.
    Interrupted,
    /// The turns, and a message that was not answered.
    Pending,
    /// The turns, after older messages left the context.
    CleanedUp,
    /// Nothing said, not even a system prompt.
    Empty,
}

impl SessionForm {
    pub(super) const NAMES: [(&'static str, Self); 7] = [
        ("turns", Self::Turns),
        ("long", Self::Long),
        ("one-token", Self::OneToken),
        ("interrupted", Self::Interrupted),
        ("pending", Self::Pending),
        ("cleaned-up", Self::CleanedUp),
        ("empty", Self::Empty),
    ];

    /// A short name for files.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, form)| *form == self).map_or("", |(name, _)| name)
    }
}

/// How a reader takes a saved session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadOperation {
    /// It loads the session file.
    #[default]
    Load,
    /// It adopts the state file beside it, which another system wrote.
    Adopt,
}

impl LoadOperation {
    pub(super) const NAMES: [(&'static str, Self); 2] = [("load", Self::Load), ("adopt", Self::Adopt)];
}

/// What is played in a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Save, load in another process, continue.
    #[default]
    Resume,
    /// The same, but a live session of the same id is there before the load.
    Replace,
    /// Save, load, save again from there, load that in a third process, continue.
    Relay,
    /// The same, but the third process is as the one that wrote first.
    WriteBack,
}

impl Scenario {
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("resume", Self::Resume),
        ("replace", Self::Replace),
        ("relay", Self::Relay),
        ("write-back", Self::WriteBack),
    ];
}
