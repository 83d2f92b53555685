//! What an axis can set, by the names that configurations use.

/// What the value of an axis sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The model.
    Model,
    /// The model's variant that the reader opens.
    ReaderModel,
    /// A setting of the writer.
    Writer(Setting),
    /// A setting of the reader.
    Reader(Setting),
    /// The format version that is written.
    Format,
    /// The format version whose reader is played.
    ReaderFormat,
    /// The load policy.
    Policy,
    /// Where parameters come from.
    Parameters,
    /// What the reader is asked to do.
    Operation,
    /// What happens to the files.
    Fault,
    /// What is played.
    Scenario,
    /// What the session is.
    Session,
    /// How the writer samples.
    Sampling,
    /// The preset of the writer.
    WriterPreset,
    /// The preset of the reader.
    ReaderPreset,
    /// The LoRA adapters of the writer.
    WriterAdapter,
    /// The LoRA adapters of the reader.
    ReaderAdapter,
    /// The control vectors of the writer.
    WriterControlVector,
    /// The control vectors of the reader.
    ReaderControlVector,
    /// The llama.cpp release that writes.
    WriterRelease,
    /// The llama.cpp release that reads.
    ReaderRelease,
    /// The backend that computes for the writer.
    WriterBackend,
    /// The backend that computes for the reader.
    ReaderBackend,
    /// The installed subject that writes.
    WriterSubject,
    /// The installed subject that reads.
    ReaderSubject,
    /// What the blind path keeps states in.
    Container,
    /// Whether the writer rotates quantized K and V.
    WriterRotation,
    /// Whether the reader does.
    ReaderRotation,
    /// Whether the writer knows layouts.
    WriterLayouts,
    /// Whether the reader does.
    ReaderLayouts,
}

/// A setting of a context, by its name in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `n_ctx`
    NCtx,
    /// `n_batch`
    NBatch,
    /// `n_ubatch`
    NUbatch,
    /// `n_seq_max`
    NSeqMax,
    /// `threads`
    Threads,
    /// `type_k`
    TypeK,
    /// `type_v`
    TypeV,
    /// `flash_attention`
    FlashAttention,
    /// `kv_unified`
    KvUnified,
    /// `swa_full`
    SwaFull,
    /// `rope_freq_base`
    RopeFreqBase,
    /// `rope_freq_scale`
    RopeFreqScale,
    /// `yarn_ext_factor`
    YarnExtFactor,
    /// `fragmented`
    Fragmented,
}

const SETTINGS: [(&str, &str, Setting); 14] = [
    ("writer.fragmented", "reader.fragmented", Setting::Fragmented),
    ("writer.n_ctx", "reader.n_ctx", Setting::NCtx),
    ("writer.n_batch", "reader.n_batch", Setting::NBatch),
    ("writer.n_ubatch", "reader.n_ubatch", Setting::NUbatch),
    ("writer.n_seq_max", "reader.n_seq_max", Setting::NSeqMax),
    ("writer.threads", "reader.threads", Setting::Threads),
    ("writer.type_k", "reader.type_k", Setting::TypeK),
    ("writer.type_v", "reader.type_v", Setting::TypeV),
    ("writer.flash_attention", "reader.flash_attention", Setting::FlashAttention),
    ("writer.kv_unified", "reader.kv_unified", Setting::KvUnified),
    ("writer.swa_full", "reader.swa_full", Setting::SwaFull),
    ("writer.rope_freq_base", "reader.rope_freq_base", Setting::RopeFreqBase),
    ("writer.rope_freq_scale", "reader.rope_freq_scale", Setting::RopeFreqScale),
    ("writer.yarn_ext_factor", "reader.yarn_ext_factor", Setting::YarnExtFactor),
];

const WHOLES: [(&str, Target); 28] = [
    ("model", Target::Model),
    ("reader.model", Target::ReaderModel),
    ("format", Target::Format),
    ("reader.format", Target::ReaderFormat),
    ("policy", Target::Policy),
    ("parameters", Target::Parameters),
    ("operation", Target::Operation),
    ("fault", Target::Fault),
    ("scenario", Target::Scenario),
    ("session", Target::Session),
    ("sampling", Target::Sampling),
    ("writer.preset", Target::WriterPreset),
    ("reader.preset", Target::ReaderPreset),
    ("writer.adapter", Target::WriterAdapter),
    ("reader.adapter", Target::ReaderAdapter),
    ("writer.control_vector", Target::WriterControlVector),
    ("reader.control_vector", Target::ReaderControlVector),
    ("writer.rotation", Target::WriterRotation),
    ("reader.rotation", Target::ReaderRotation),
    ("writer.release", Target::WriterRelease),
    ("reader.release", Target::ReaderRelease),
    ("writer.backend", Target::WriterBackend),
    ("reader.backend", Target::ReaderBackend),
    ("writer.subject", Target::WriterSubject),
    ("reader.subject", Target::ReaderSubject),
    ("container", Target::Container),
    ("writer.layouts", Target::WriterLayouts),
    ("reader.layouts", Target::ReaderLayouts),
];

impl Target {
    /// Every name that an axis may set.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let settings = SETTINGS.iter().flat_map(|(writer, reader, _)| [*writer, *reader]);
        WHOLES.iter().map(|(name, _)| *name).chain(settings).collect()
    }

    /// The target of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let whole = WHOLES.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
        whole.or_else(|| {
            SETTINGS.iter().find_map(|(writer, reader, setting)| match name {
                _ if name == *writer => Some(Self::Writer(*setting)),
                _ if name == *reader => Some(Self::Reader(*setting)),
                _ => None,
            })
        })
    }

    pub(super) fn is_readers(self) -> bool {
        matches!(
            self,
            Self::Reader(_)
                | Self::ReaderPreset
                | Self::ReaderAdapter
                | Self::ReaderControlVector
                | Self::ReaderRotation
                | Self::ReaderRelease
                | Self::ReaderBackend
                | Self::ReaderSubject
                | Self::ReaderLayouts
        )
    }

    pub(super) fn has_side(self) -> bool {
        self.is_readers()
            || matches!(
                self,
                Self::Writer(_)
                    | Self::WriterPreset
                    | Self::WriterAdapter
                    | Self::WriterControlVector
                    | Self::WriterRotation
                    | Self::WriterBackend
            )
    }
}
