//! A session file held against a llama.cpp release: no model, no worker, the same table of routes as a load.

use std::path::Path;

use intact_format::canary::CanaryRule;
use intact_format::image::{Chunk, ImageReference};
use intact_format::layout::Layout;
use intact_format::passport::{Axis, Consequence, Difference, Passport, compare};
use intact_format::route::{self, Decision, ImageStatus, LoadPolicy, LoadSituation, RefusalCode, decide};
use intact_format::session::SessionDocument;
use intact_format::transcode::{self, Loss, migrate, passport_in, plan};
use intact_protocol::{AxisReport, Checked, Refusal};

use super::super::policy::Policy;
use crate::command::Failure;
use crate::command::migrate::{layout, unread};
use crate::command::stored::Stored;
use crate::tags::Release;

/// What a load by `release` would do, with the model and the settings that the session was saved with.
pub(super) fn check(
    file: &Path,
    stored: &mut Stored,
    release: &Release,
    policy: Policy,
) -> Result<Checked, Failure> {
    let document = stored.read().map_err(|error| unread(file, &error))?.document;
    let policy = policy.routes().map_or_else(
        || Ok(LoadPolicy::default()),
        |names| LoadPolicy::of_names(names.iter().copied()).map_err(Failure::setup),
    )?;
    let (status, chunks) = image(stored, &document);
    let Some(saved) = &document.passport else {
        let tokens = document.tokens().map_or_else(|| document.positions(), |tokens| tokens.len() as u64);
        return Ok(checked(&[], decide(&situation(&[], status, tokens, u32::MAX, policy))));
    };
    let layout = layout(release)?;
    let tokens = document.tokens().map_or(0, |tokens| tokens.len() as u64);
    let mut differences = match passport_in(saved, &release.tag, layout) {
        Ok(here) => differences(saved, &here),
        Err(unknown) => vec![unlike(Axis::RotationK, &unknown.to_string())],
    };
    let steps = passport_in(saved, &release.tag, layout).ok().and_then(|here| plan(saved, &here).ok());
    let transcodes = differences.iter().any(|difference| difference.consequence == Consequence::Transcode);
    if transcodes && let Err(error) = rehearsal(&document, &chunks, release, layout) {
        differences.push(unlike(Axis::Layout, &error.to_string()));
    }
    let lossy = steps.is_some_and(|steps| steps.loss() == Loss::Declared);
    let decided = decide(&LoadSituation {
        lossy,
        ..situation(&differences, status, tokens, saved.cache.n_ctx, policy)
    });
    Ok(checked(&differences, decided))
}

fn situation(
    differences: &[Difference],
    image: ImageStatus,
    tokens: u64,
    n_ctx: u32,
    policy: LoadPolicy,
) -> LoadSituation<'_> {
    LoadSituation { differences, image, tokens, n_ctx, lossy: false, policy }
}

/// Every axis but the time, which is none here.
fn differences(saved: &Passport, here: &Passport) -> Vec<Difference> {
    let mut differences = compare(saved, here);
    differences.retain(|difference| difference.axis != Axis::SavedAt);
    differences
}

/// An axis on which the saved KV is of no use.
fn unlike(axis: Axis, reason: &str) -> Difference {
    Difference {
        axis,
        saved: "as saved".to_owned(),
        here: "not to be had".to_owned(),
        consequence: Consequence::Reprefill,
        reason: reason.to_owned(),
        canary: CanaryRule::Floor,
    }
}

/// Carries the transcoding out and throws the result away: what a table allows an image may still refuse.
fn rehearsal(
    document: &SessionDocument,
    chunks: &[Chunk<'_>],
    release: &Release,
    layout: &'static Layout,
) -> Result<(), transcode::MigrateError> {
    if chunks.is_empty() {
        return Ok(());
    }
    migrate(document, chunks, &release.tag, layout, jiff::Timestamp::UNIX_EPOCH).map(drop)
}

fn image(stored: &mut Stored, document: &SessionDocument) -> (ImageStatus, Vec<Chunk<'static>>) {
    let Some(reference) = &document.image else { return (ImageStatus::None, Vec::new()) };
    let chunks = stored.chunks(reference).and_then(Iterator::collect);
    match chunks {
        Ok(chunks) if matches!(reference, ImageReference::Cells(_)) => (ImageStatus::Present, chunks),
        Ok(chunks) => (ImageStatus::Opaque, chunks),
        Err(error) if error.code == Some(RefusalCode::ImageMissing) => (ImageStatus::Missing, Vec::new()),
        Err(_) => (ImageStatus::Damaged, Vec::new()),
    }
}

fn checked(differences: &[Difference], decided: Result<Decision, route::Refusal>) -> Checked {
    let axes = differences.iter().map(axis).collect();
    match decided {
        Ok(decision) => Checked { route: decision.route.to_string(), axes, refusal: None, notes: Vec::new() },
        Err(refusal) => Checked {
            route: "refused".to_owned(),
            axes,
            refusal: Some(Refusal {
                code: refusal.code.to_string(),
                message: refusal.message,
                axes: refusal.axes.iter().map(|axis| axis.axis.to_string()).collect(),
            }),
            notes: Vec::new(),
        },
    }
}

fn axis(difference: &Difference) -> AxisReport {
    AxisReport {
        axis: difference.axis.to_string(),
        saved: difference.saved.clone(),
        here: difference.here.clone(),
        consequence: difference.consequence.to_string(),
        reason: difference.reason.clone(),
    }
}
