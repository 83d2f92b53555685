//! Why a place did not take or give something.

use std::error::Error;
use std::io;
use std::path::Path;

use super::OutputError;
use crate::image::sidecar::SidecarError;
use crate::route::RefusalCode;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct PlaceError {
    /// The reason's stable name; none where the system failed and nothing was decided.
    pub code: Option<RefusalCode>,
    /// What went wrong, where, and why, without a full stop.
    pub message: String,
    /// The reason, as whoever found it tells it.
    pub cause: Box<dyn Error + Send + Sync>,
}

impl PlaceError {
    /// An error that says everything itself.
    #[must_use]
    pub fn new(code: Option<RefusalCode>, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { code, message: cause.to_string(), cause: Box::new(cause) }
    }

    /// Whether it failed because the disk is full, or a quota used up.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        is_no_room(&*self.cause)
    }

    /// The system did not give what is at `path`, or what is known of it.
    #[must_use]
    pub fn unreadable(action: &str, path: &Path, error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => RefusalCode::FileNotFound,
            _ => RefusalCode::FileUnreadable,
        };
        Self { code: Some(code), ..Self::unwritable(action, path, error) }
    }

    /// The system did not take what was to be written to `path`.
    #[must_use]
    pub fn unwritable(action: &str, path: &Path, error: io::Error) -> Self {
        Self { code: None, message: format!("{action} {}: {error}", path.display()), cause: error.into() }
    }
}

/// Whether an error comes from a full disk, or a quota that is used up.
#[must_use]
pub fn is_no_room(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(of_system)
        .any(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// What the system said, where an error tells that itself and so names no source.
fn of_system<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    if let Some(SidecarError::Io { cause, .. }) = error.downcast_ref() {
        return Some(cause);
    }
    if let Some(OutputError::Io { cause, .. }) = error.downcast_ref() {
        return Some(cause);
    }
    error.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_behind_whatever_it_is_told_by() {
        let path = Path::new("it.kv");
        for (kind, is_full) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            let sidecar = SidecarError::Io { path: path.into(), what: "write", cause: kind.into() };
            let output = OutputError::Io { path: path.into(), what: "write", cause: kind.into() };
            let told = [
                PlaceError::unwritable("write", path, kind.into()),
                PlaceError::new(None, io::Error::from(kind)),
                PlaceError::new(None, sidecar),
                PlaceError::new(None, output),
            ];
            for error in told {
                assert_eq!(error.is_no_room(), is_full, "{error:?}");
            }
        }
    }
}
