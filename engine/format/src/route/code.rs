//! The codes of refusals.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $summary:literal $next:literal;)+) => {
        /// Why something was refused: stable names, shared by the engine and everything that judges it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum RefusalCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        const CODES: &[(RefusalCode, &str, &str, &str)] =
            &[$((RefusalCode::$variant, $name, $summary, $next),)+];
    };
}

codes! {
    /// No file has that path.
    FileNotFound "file-not-found"
        "the file does not exist"
        "check the path; a session saved without one is `<session id>.json` in the folder it was saved from";
    /// The file is there and cannot be read or written.
    FileUnreadable "file-unreadable"
        "the file cannot be read"
        "check its permissions and the disk";
    /// No session file can have that name, or something else than a file has it.
    FileNameUnusable "file-name-unusable"
        "no session can be saved under this name"
        "name another file, best one that ends in .json";
    /// It is there and is no session file.
    FileForeign "file-foreign"
        "the file is not a session file, and is never replaced"
        "name another file, or remove this one yourself";
    /// A session file is there that the session neither came from nor was saved to.
    FileExists "file-exists"
        "a session is saved there already"
        "save to another file; load the session that is there first; or say that it may be replaced";
    /// Somebody else has saved to the file meanwhile.
    FileChanged "file-changed"
        "somebody else has saved to the file since"
        "save to another file; load what is there and go on with that; or say that it may be replaced";
    /// It is encrypted and no key was given.
    KeyMissing "key-missing"
        "the session file is encrypted"
        "give the passphrase or the key file that opens it";
    /// It is encrypted for somebody else.
    KeyWrong "key-wrong"
        "the session file is encrypted with another key"
        "give the passphrase or the key file that it was saved for";
    /// It is plain where only encrypted files are accepted.
    NotSealed "not-sealed"
        "the session file is not encrypted"
        "find out who replaced it; if it was never encrypted, load it without a key";
    /// Nobody has signed it whose sessions are trusted.
    NotSigned "not-signed"
        "nobody who is trusted has signed the session file"
        "ask whoever is said to have written it; what was saved before it was signed can be signed anew";
    /// It is no JSON document, or one without a format version.
    NotASessionFile "not-a-session-file"
        "the file is not a session file"
        "choose a file that a save wrote; a state file of llama.cpp itself is not one";
    /// The document ends early.
    FileTruncated "file-truncated"
        "the session file was cut short"
        "load an older copy, or copy the file again";
    /// Its format is newer than the reader.
    FormatTooNew "format-too-new"
        "the session file is newer than this reader"
        "load it with a version of intact that reads its format, or save it again in a format that is read here";
    /// The document is not what was written.
    DigestMismatch "digest-mismatch"
        "the session file is damaged or was edited"
        "load an older copy; session files are not made to be edited";
    /// The document contradicts itself or its schema.
    InvalidDocument "invalid-document"
        "the session file contradicts itself"
        "load an older copy, and report the program that wrote this one";
    /// No live session has that id.
    SessionNotFound "session-not-found"
        "no live session has this id"
        "start it, or load it from its file";
    /// No session is current.
    NoCurrentSession "no-current-session"
        "there is no current session"
        "start a chat or load a session first";
    /// The text cannot be a session id.
    InvalidSessionId "invalid-session-id"
        "this cannot be a session id"
        "use 1 to 128 bytes without `/`, `\\`, `:` and control characters";
    /// The file refers to no KV image, and the policy needs one.
    ImageAbsent "image-absent"
        "the session file has no KV image"
        "allow the route `reprefilled`";
    /// The image that the file refers to is not there.
    ImageMissing "image-missing"
        "the KV image is not there"
        "put the .kv file back beside the session file, or allow the route `reprefilled`";
    /// The image is not what was written, or belongs to another session.
    ImageDamaged "image-damaged"
        "the KV image is damaged or belongs to another session"
        "restore the .kv file from a copy, or allow the route `reprefilled`";
    /// Another release whose layout is not known.
    ReleaseDiffers "release-differs"
        "the session was saved by another llama.cpp release"
        "load it with that release, or allow the route `reprefilled`";
    /// The KV lies in another way.
    LayoutDiffers "layout-differs"
        "the saved KV is laid out in another way"
        "allow the route `transcoded`, or `reprefilled`";
    /// Another model altogether.
    ModelDiffers "model-differs"
        "the session was saved with another model"
        "load it with that model, or allow the routes `reprefilled` and `replayed` (--policy replay)";
    /// Other weights, or the same ones in another quantization.
    WeightsDiffer "weights-differ"
        "the session was saved with other weights"
        "load it with that model file, or allow the route `reprefilled`";
    /// Token ids mean other text.
    TokenizerDiffers "tokenizer-differs"
        "the session was saved with another tokenizer"
        "load it with that model, or allow the route `replayed` (--policy replay)";
    /// Messages are framed in another way.
    ChatTemplateDiffers "chat-template-differs"
        "the session was saved with another chat template"
        "load it with that model file and template, or allow the route `replayed` (--policy replay)";
    /// A file of format 1.x, whose messages and tokens (or token counts) do not belong together here: another tokenizer or
    /// template, or an edited file.
    TokenizationDiffers "tokenization-differs"
        "the saved messages are not what the saved tokens spell here"
        "load it with the model that it was saved with, or allow the route `replayed` (--policy replay)";
    /// Pictures would have to be evaluated again.
    MediaMissing "media-missing"
        "the chat has pictures that cannot be evaluated here"
        "load it where its KV image fits as it is, or take the messages with pictures out of the chat before saving";
    /// The cache has another precision.
    KvTypeDiffers "kv-type-differs"
        "the cache has another type"
        "set the types of K and V to the saved ones, or allow the route `reprefilled`";
    /// Quantized K or V is rotated on one side.
    RotationDiffers "rotation-differs"
        "the saved KV is rotated in another way"
        "load it with a release that rotates alike, or allow the route `reprefilled`";
    /// Sliding-window caches hold other cells.
    SlidingWindowDiffers "sliding-window-differs"
        "the sliding-window caches hold other cells"
        "set SwaFull to the saved value, or allow the route `reprefilled`";
    /// Positions are written into K in another way.
    RopeDiffers "rope-differs"
        "RoPE is set in another way"
        "set the RoPE and YaRN parameters to the saved ones, or allow the route `reprefilled`";
    /// Other LoRA adapters or control vectors, or other scales.
    AdaptersDiffer "adapters-differ"
        "other adapters are applied"
        "apply the saved adapters with the saved scales, or allow the route `reprefilled`";
    /// The session is longer than the context.
    ContextTooSmall "context-too-small"
        "the session is longer than the context"
        "raise the context (ContextSize, --context) to at least the tokens of the session";
    /// There is no manifest to compare against.
    ManifestMissing "manifest-missing"
        "there is no manifest beside the session file"
        "put session.manifest.json back, or load without comparing it";
    /// The manifest is not one.
    ManifestInvalid "manifest-invalid"
        "the manifest cannot be read"
        "restore it from a copy, or load without comparing it";
    /// The manifest names another configuration.
    ManifestDiffers "manifest-differs"
        "the manifest names another configuration"
        "use the configuration that it names, or load without comparing it";
    /// The saved parameters cannot be used here.
    ParametersInvalid "parameters-invalid"
        "the saved parameters cannot be used"
        "load with the preset's parameters or the defaults";
    /// A picture that a re-prefill needs is not there.
    MediumMissing "medium-missing"
        "a picture of the session is not there"
        "give the load the folder with the session's media";
    /// What the model says is not what it said.
    CanaryFailed "canary-failed"
        "the model does not say what it said when the session was saved"
        "load it with the model, release and settings of the passport";
    /// The policy allows none of the routes that are left.
    PolicyForbids "policy-forbids"
        "the load policy forbids every route that is left"
        "allow one of the routes that the axes leave";
    /// The file is none of llama.cpp's own state files.
    NotAState "not-a-state"
        "llama.cpp did not write this file as a state"
        "choose a slot file of llama-server, a sequence or session file, or a raw state; a session file of intact needs no adoption";
    /// The state ends early.
    StateTruncated "state-truncated"
        "the state was cut short"
        "save it again, or copy the file again";
    /// Its bytes fit no layout that is known.
    StateUnknown "state-unknown"
        "the state is laid out in no way that is known"
        "adopt it with the llama.cpp release that wrote it, or start the session anew";
    /// Nothing says which tokens the state is of.
    TokensMissing "tokens-missing"
        "nothing says which tokens the state is of"
        "give the conversation with --history, or save a sequence file, which keeps its tokens";
    /// The tokens are not those of the cells.
    TokensDisagree "tokens-disagree"
        "the tokens are not those of the cells"
        "save it again from a sequence that was not changed in between";
    /// The cells are not those of a sequence from its start.
    PositionsDisagree "positions-disagree"
        "the cells are not those of a sequence from its start"
        "start the session anew: what left the context cannot be told from the file";
    /// The messages are not what the tokens spell.
    HistoryDiffers "history-differs"
        "the messages are not those of the saved tokens"
        "give the messages of this very conversation, or none";
    /// The model gives other KV for the tokens.
    RecomputationDiffers "recomputation-differs"
        "the model does not give this state for these tokens"
        "adopt it with the model, adapters and RoPE settings that it was saved with";
    /// llama.cpp did not take the state or could not evaluate.
    EngineFailed "engine-failed"
        "llama.cpp could not carry out the load"
        "see the message, and report it with the session file's passport";
}

/// A name that no code has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the code of a refusal")]
pub struct UnknownCode(pub String);

impl RefusalCode {
    /// Every code.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        CODES.iter().map(|row| row.0)
    }

    /// The stable, kebab-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        CODES[self as usize].1
    }

    /// What happened, in one clause.
    #[must_use]
    pub fn summary(self) -> &'static str {
        CODES[self as usize].2
    }

    /// What to do next, in one clause.
    #[must_use]
    pub fn next_step(self) -> &'static str {
        CODES[self as usize].3
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RefusalCode {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = CODES.iter().find(|row| row.1 == name);
        found.map(|row| row.0).ok_or_else(|| UnknownCode(name.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own_row_under_the_name_that_serde_writes() {
        for code in RefusalCode::all() {
            assert_eq!(CODES[code as usize].0, code);
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert_eq!(code.as_str().parse(), Ok(code));
            for clause in [code.summary(), code.next_step()] {
                assert!(!clause.is_empty() && !clause.ends_with('.'), "{code}: {clause}");
            }
        }
        assert!("not-a-code".parse::<RefusalCode>().is_err());
    }
}
