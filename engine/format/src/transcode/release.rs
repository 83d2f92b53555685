//! What a session would be in another release, with the model and settings that it was saved with.

use super::HeadSizes;
use crate::layout::{CacheFormat, GgmlType, Layout, Rotation, RotationRule, Section, State};
use crate::passport::Passport;

/// It cannot be told how a release would rotate a cache.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{release} rotates quantized caches by their head size, which the passport does not tell; load the session with the model instead"
)]
pub struct UnknownRotation {
    /// The release.
    pub release: String,
}

/// The passport of a context of `release` over the same model with the same settings.
///
/// # Errors
/// [`UnknownRotation`] where the model's head sizes are not known and would matter.
pub fn passport_in(saved: &Passport, release: &str, layout: &Layout) -> Result<Passport, UnknownRotation> {
    if saved.layout.is_none() && saved.release == release {
        // An opaque image: all that is known is that it is the very release.
        return Ok(Passport { migrations: Vec::new(), ..saved.clone() });
    }
    let unknown = || UnknownRotation { release: release.to_owned() };
    let kind = |name: &str| GgmlType::by_name(name).unwrap_or(GgmlType::F16);
    let kinds = [kind(saved.cache.type_k.name()), kind(saved.cache.type_v.name())];
    let rotation = HeadSizes::of(&saved.model.shape).rotation(layout, kinds, false).ok_or_else(unknown)?;
    let mut here = saved.clone();
    here.release = release.to_owned();
    here.layout = Some(layout.id.to_owned());
    (here.cache.rotation_k, here.cache.rotation_v) = (rotation.keys, rotation.values);
    here.migrations.clear();
    Ok(here)
}

/// What the caches of a state would store in a release with `layout`, with the types and the transposition that they have.
///
/// # Errors
/// [`UnknownRotation`] as for [`passport_in`].
pub fn formats_in(
    state: &State<'_>,
    saved: &Passport,
    release: &str,
    layout: &Layout,
) -> Result<Vec<CacheFormat>, UnknownRotation> {
    let heads = HeadSizes::of(&saved.model.shape);
    let mut formats = Vec::new();
    for section in &state.sections {
        let Section::Attention(section) = section else { continue };
        let keys = section.keys.first().map_or(GgmlType::F16, |matrix| matrix.kind);
        let values = section.values.first().map_or(keys, |matrix| matrix.kind);
        let rotation = if section.shape.values {
            heads.rotation(layout, [keys, values], !formats.is_empty())
        } else if keys.is_quantized() && layout.rotation == RotationRule::Recorded {
            section.rotation
        } else {
            Some(section.rotation.unwrap_or_default())
        };
        let rotation: Rotation = rotation.ok_or_else(|| UnknownRotation { release: release.to_owned() })?;
        formats.push(CacheFormat { keys, values, rotation, transposed: section.transposed });
    }
    Ok(formats)
}
