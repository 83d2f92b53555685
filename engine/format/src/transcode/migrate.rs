//! A session file for another release, made without that release and without the model.

use jiff::Timestamp;

use super::{
    Geometry, Steps, TranscodeError, Transcoded, UnknownRotation, Unrepresentable, formats_in, passport_in,
    plan,
};
use crate::image::{self, Chunk, CutOptions, ImageError, ImageReference, cut};
use crate::layout::{Distances, Layout, StreamShape};
use crate::passport::Migration;
use crate::session::SessionDocument;

/// A session that was migrated.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrated {
    /// The document for the other release.
    pub document: SessionDocument,
    /// The chunks that it refers to.
    pub chunks: Vec<Chunk<'static>>,
    /// What was done.
    pub steps: Steps,
    /// How far the numbers are from those that were saved.
    pub distances: Distances,
}

/// A session that cannot be migrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// There is no passport.
    #[error(
        "the file has no passport, so its release is not known; only formats from 2.0 on can be migrated"
    )]
    NoPassport,
    /// There is no image.
    #[error(
        "the file has no KV image, so there is nothing to migrate; any release loads it by evaluating its tokens"
    )]
    NoImage,
    /// The image was not understood when it was saved.
    #[error("the KV image is opaque ({reason}); it loads into the release that wrote it only")]
    Opaque {
        /// Why it was not understood.
        reason: String,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A form that cannot be had.
    #[error(transparent)]
    Unrepresentable(#[from] Unrepresentable),
    /// A rotation that cannot be told.
    #[error(transparent)]
    UnknownRotation(#[from] UnknownRotation),
    /// Numbers that cannot be converted.
    #[error(transparent)]
    Transcode(#[from] TranscodeError),
}

/// Rewrites a session for `release`, whose layout is `layout`, with the same model and settings. The canary stays what the
/// writing release said; the passport tells of the migration, so that a load does not ask it to be equal bit for bit.
///
/// # Errors
/// [`MigrateError`] where the file has nothing to migrate, or the image cannot be brought into that form.
pub fn migrate(
    document: &SessionDocument,
    chunks: &[Chunk<'_>],
    release: &str,
    layout: &'static Layout,
    at: Timestamp,
) -> Result<Migrated, MigrateError> {
    let saved = document.passport.as_ref().ok_or(MigrateError::NoPassport)?;
    let reference = match document.image.as_ref().ok_or(MigrateError::NoImage)? {
        ImageReference::Cells(image) => image,
        ImageReference::Opaque(image) => return Err(MigrateError::Opaque { reason: image.reason.clone() }),
    };
    let mut passport = passport_in(saved, release, layout)?;
    let steps = plan(saved, &passport)?;
    let state = image::state(reference, chunks)?;
    let (shape, formats) = (state.shape(), formats_in(&state, saved, release, layout)?);
    let tokens = document.tokens().unwrap_or_default();
    let geometry =
        Geometry { layout, shape: &shape, formats: &formats, streams: StreamShape::SINGLE, tokens: &tokens };
    let Transcoded { state, distances } = super::image(state, &geometry)?;
    let options = CutOptions { chunk_tokens: reference.chunk_tokens, drop_last: false };
    let cut = cut(&state, layout, options)?;

    passport.migrations = saved.migrations.clone();
    passport.migrations.push(Migration {
        from: saved.release.clone(),
        to: release.to_owned(),
        at,
        steps: steps.0.iter().map(ToString::to_string).collect(),
        canary: steps.canary_rule(&saved.cache),
    });
    let mut document = document.clone();
    if let Some(manifest) = &mut document.manifest {
        release.clone_into(&mut manifest.release_tag);
    }
    document.passport = Some(passport);
    document.image = Some(cut.reference);
    Ok(Migrated { document, chunks: cut.chunks, steps, distances })
}
