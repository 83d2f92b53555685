//! Asking releases: one writes a state and says what its model says after it; others read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use intact_fixtures::ModelEntry;
use intact_format::foreign::ForeignFile;
use intact_format::place::sidecar_path;
use intact_format::regular;
use intact_matrix::Limits as Thresholds;
use intact_protocol::{Load, Logits, ParameterSource, Replied, Request, Save, Say, Score};
use serde_json::json;

use super::{CONTAINER, Model, Reading, State, WRITER};
use crate::distance::Distance;
use crate::fleeting::FleetingFolder;
use crate::tags::{self, Opening, ProbeError, carried_out_within};
use crate::worker::Worker;

/// Longest wait for one answer. The models are tiny.
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory that a worker may take: older releases take what they misread for a count of cells.
const MEMORY: u64 = 4 << 30;
/// Room for the session.
const CONTEXT: u32 = 256;
/// Tokens after a state.
const COMPARED: u32 = 4;
const CONTINUATION: &str = "The lamp was lit at dusk.";
const SESSION: &str = "corpus";

/// A state that was written, with all that goes beside it.
pub(crate) struct Written {
    pub(crate) state: State,
    pub(crate) bytes: Vec<u8>,
    /// Rows of 32-bit floats.
    pub(crate) logits: Vec<u8>,
    pub(crate) n_ctx: u32,
}

fn opened(command: &[String], model: &Path, kv: &str, folder: &FleetingFolder) -> Result<Worker, ProbeError> {
    let opening = Opening {
        subject: &["--subject", "blind", "--container", CONTAINER],
        model,
        kv,
        flash: true,
        n_ctx: CONTEXT,
        memory: Some(MEMORY),
    };
    tags::opened(command, &opening, folder.path()).map(|(worker, _)| worker)
}

fn done(worker: &mut Worker, request: Request) -> Result<Replied, ProbeError> {
    carried_out_within(PATIENCE, worker, request)
}

fn score(worker: &mut Worker, folder: &FleetingFolder) -> Result<(Logits, Vec<i32>), ProbeError> {
    let path = folder.path().join("said.logits");
    let text = CONTINUATION.to_owned();
    let asked =
        Score { session: SESSION.into(), text, max_tokens: COMPARED, path: path.clone(), afresh: false };
    let declined = |why: String| ProbeError::Declined { op: "score", why };
    match done(worker, Request::Score(asked))? {
        Replied::Score(scored) => {
            let logits = Logits::read(&path).map_err(|error| declined(error.to_string()))?;
            Ok((logits, scored.tokens))
        }
        _ => Err(declined("it answers with the result of another request".into())),
    }
}

/// Lets a release write a state.
pub(crate) fn written(
    command: &[String],
    release: &str,
    entry: &ModelEntry,
    model: &Path,
    kv: &str,
) -> Result<Written, ProbeError> {
    let folder = FleetingFolder::make(&std::env::temp_dir())?;
    let path = folder.path().join("state.json");
    let mut worker = opened(command, model, kv, &folder)?;
    let say = Say {
        session: SESSION.into(),
        system: None,
        text: "Who kept the light?".into(),
        reply: Some("Ada did, for forty years.".into()),
        max_tokens: None,
        greedy: true,
        cancel_after: None,
        stream: false,
    };
    done(&mut worker, Request::Say(say))?;
    let save =
        Save { session: SESSION.into(), path: path.clone(), format: None, manifest: false, own: false };
    done(&mut worker, Request::Save(save))?;
    let (logits, continuation) = score(&mut worker, &folder)?;
    worker.leave(PATIENCE);
    let bytes = regular::read(sidecar_path(&path))?;
    let unread = |why: String| ProbeError::Declined { op: "save", why };
    let held = ForeignFile::read(&bytes).map_err(|error| unread(error.to_string()))?.tokens;
    // The last token of a session may be one that was not evaluated yet: it is in no state.
    let document: serde_json::Value =
        serde_json::from_slice(&regular::read(&path)?).map_err(|error| unread(error.to_string()))?;
    let tokens = document.get("tokens").cloned().map(serde_json::from_value::<Vec<i32>>);
    let tokens = tokens.and_then(Result::ok).filter(|tokens| tokens.starts_with(&held)).unwrap_or(held);
    let state = State {
        writer: WRITER.to_owned(),
        release: release.to_owned(),
        container: CONTAINER.to_owned(),
        kv: kv.to_owned(),
        model: Model {
            id: entry.id.clone(),
            architecture: entry.family.architecture.clone(),
            seed: entry.seed,
            sha256: tags::hash(&regular::read(model)?),
        },
        tokens,
        continuation,
        files: BTreeMap::new(),
        readers: BTreeMap::new(),
    };
    let logits = logits.rows().flatten().flat_map(|number| number.to_le_bytes()).collect();
    Ok(Written { state, bytes, logits, n_ctx: CONTEXT })
}

/// What a release makes of a state: what its model says after it, against what the writer's said.
pub(crate) fn read_by(
    command: &[String],
    state: &State,
    [bytes, expected]: &[Vec<u8>; 2],
    model: &Path,
    thresholds: &Thresholds,
) -> Result<Reading, ProbeError> {
    let folder = FleetingFolder::make(&std::env::temp_dir())?;
    let path = folder.path().join("state.json");
    let cached = ForeignFile::read(bytes).map_or(state.tokens.len(), |file| file.tokens.len());
    let bare = json!({
        "session": SESSION, "messages": [], "tokens": state.tokens, "cached": cached,
    });
    fs::write(&path, bare.to_string())?;
    fs::write(sidecar_path(&path), bytes)?;
    let mut worker = opened(command, model, &state.kv, &folder)?;
    let load = Load {
        path,
        session: Some(SESSION.to_owned()),
        reader_format: None,
        routes: None,
        parameters: ParameterSource::Defaults,
        manifest: false,
    };
    match done(&mut worker, Request::Load(load)) {
        Ok(_) => {}
        Err(ProbeError::Declined { .. }) => return Ok(Reading::Refuses),
        Err(_) => return Ok(Reading::Crashes),
    }
    let (said, _) = match score(&mut worker, &folder) {
        Ok(said) => said,
        Err(ProbeError::Declined { .. }) => return Ok(Reading::Misreads),
        Err(_) => return Ok(Reading::Crashes),
    };
    worker.leave(PATIENCE);
    let numbers: Vec<f32> =
        expected.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut reference = Logits::new(said.n_vocab());
    numbers.chunks_exact(said.n_vocab()).for_each(|row| reference.push(row));
    let near = Distance::between(&reference, &said)
        .is_some_and(|distance| distance.bit_equal || distance.is_within_limits(thresholds));
    Ok(if near { Reading::Reads } else { Reading::Misreads })
}
