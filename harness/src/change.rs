//! Seeded changes of a model's weights: models of the same shape that are not the same. A restore that takes one of them for
//! the other must be caught, so these are the negative controls of `intact noise` and of runs on real models.
//!
//! A change rewrites the bytes of a GGUF file and needs no llama.cpp. The same model, change and seed give the same bytes on
//! every machine: numbers are drawn by integer arithmetic, and nothing but products and sums is computed from them.

mod lora;
mod scales;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use intact_fixtures::Noise;
use intact_format::gguf::{Gguf, GgufError, Tensor, TensorType};
use intact_format::regular;
use thiserror::Error;

/// What is done to the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Every number of every matrix is multiplied by 1 + `share` · u, with u drawn evenly between −√3 and √3, so that the
    /// mean is 0 and the standard deviation 1. In quantized matrices it is the scale of every block, and the block's
    /// minimum with it: all numbers of a block are multiplied by the same. Vectors stay as they are.
    Noise {
        /// How much.
        share: f32,
    },
    /// Two layers change places: their tensors take each other's names.
    Swap {
        /// One layer.
        first: u32,
        /// The other one.
        second: u32,
    },
    /// A low-rank change is merged into the attention's matrices, which must not be quantized.
    Merge(Lora),
    /// The same change as an adapter file for the model.
    Adapter(Lora),
}

/// A low-rank change of matrices W: B · A, with numbers drawn evenly around 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lora {
    /// Rows of A, columns of B.
    pub rank: u32,
    /// Norm of B · A, as a share of the norm of W.
    pub share: f32,
}

/// Why there is no changed model.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// It is not a change.
    #[error(
        "`{0}` is not a change of weights; they are noise=SHARE, swap=LAYER,LAYER, lora=RANK,SHARE, and \
         adapter=RANK,SHARE: for example noise=0.03 or lora=8,0.05"
    )]
    Unknown(String),
    /// The file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The model is no GGUF file.
    #[error("{path}: {source}", path = .path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
    /// The change cannot be made to this tensor.
    #[error("`{tensor}` has the type {kind}, and {needed}")]
    Type {
        /// The tensor.
        tensor: String,
        /// Its type.
        kind: TensorType,
        /// What would do.
        needed: &'static str,
    },
    /// The layers cannot change places.
    #[error("layers {first} and {second} cannot change places: {reason}")]
    Layers {
        /// One layer.
        first: u32,
        /// The other one.
        second: u32,
        /// Why.
        reason: String,
    },
    /// There is nothing to change.
    #[error("the model has no {0}")]
    Nothing(&'static str),
}

impl Change {
    /// Writes the changed model, or the adapter, to `out`: whole, or not at all.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn make(self, model: &Path, seed: u64, out: &Path) -> Result<(), ChangeError> {
        let unreadable = |source| ChangeError::Io { path: model.to_owned(), source };
        let bytes = regular::read(model).map_err(unreadable)?;
        let changed = self.apply(bytes, seed).map_err(|error| match error {
            Failed::Gguf(source) => ChangeError::Gguf { path: model.to_owned(), source },
            Failed::Change(error) => error,
        })?;
        put(&changed, out).map_err(|source| ChangeError::Io { path: out.to_owned(), source })
    }

    /// The changed file of a GGUF file.
    fn apply(self, mut bytes: Vec<u8>, seed: u64) -> Result<Vec<u8>, Failed> {
        let gguf = Gguf::read(bytes.as_slice(), bytes.len() as u64)?;
        gguf.check_extent()?;
        match self {
            Self::Noise { share } => scales::shake(&gguf, &mut bytes, seed, share)?,
            Self::Swap { first, second } => swap(&gguf, &mut bytes, first, second)?,
            Self::Merge(change) => lora::merge(&gguf, &mut bytes, seed, change)?,
            Self::Adapter(change) => return Ok(lora::adapter(&gguf, &bytes, seed, change)?),
        }
        Ok(bytes)
    }
}

/// An error that does not know the file's name yet.
#[derive(Debug)]
enum Failed {
    Gguf(GgufError),
    Change(ChangeError),
}

impl From<GgufError> for Failed {
    fn from(error: GgufError) -> Self {
        Self::Gguf(error)
    }
}

impl From<ChangeError> for Failed {
    fn from(error: ChangeError) -> Self {
        Self::Change(error)
    }
}

fn put(bytes: &[u8], out: &Path) -> io::Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".derived-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(out)?;
    Ok(())
}

/// The bytes of a tensor. The file has been found to hold them.
fn data<'b>(gguf: &Gguf, tensor: &Tensor, bytes: &'b mut [u8]) -> &'b mut [u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let start = gguf.data_offset.saturating_add(tensor.offset);
    let (start, end) = (place(start), place(start.saturating_add(tensor.bytes().unwrap_or(0))));
    &mut bytes[start..end]
}

/// Numbers around 0 with a standard deviation of 1: so many steps of an even range.
fn unit(noise: Noise, index: u64) -> f32 {
    const STEPS: i32 = 1 << 20;
    const ROOT_3: f32 = 1.732_050_8;
    noise.between(index, -STEPS, STEPS) as f32 * (ROOT_3 / STEPS as f32)
}

/// Lets two layers change places.
fn swap(gguf: &Gguf, bytes: &mut [u8], first: u32, second: u32) -> Result<(), ChangeError> {
    let cannot = |reason: String| ChangeError::Layers { first, second, reason };
    let [one, other] = [first, second].map(|layer| format!("blk.{layer}."));
    if first == second || one.len() != other.len() {
        return Err(cannot("name two layers whose numbers have as many digits".into()));
    }
    let head = usize::try_from(gguf.data_offset).unwrap_or(usize::MAX).min(bytes.len());
    let mut renamed = Vec::new();
    for (from, to) in [(&one, &other), (&other, &one)] {
        let before = renamed.len();
        for tensor in gguf.tensors.iter().filter(|tensor| tensor.name.starts_with(from.as_str())) {
            let twin = format!("{to}{}", &tensor.name[from.len()..]);
            let shape = gguf.tensors.iter().find(|other| other.name == twin).map(|other| &other.shape);
            if shape != Some(&tensor.shape) {
                return Err(cannot(format!("there is no `{twin}` of the shape of `{}`", tensor.name)));
            }
            let place = declared(&bytes[..head], &tensor.name)
                .ok_or_else(|| cannot(format!("the name `{}` is not there once", tensor.name)))?;
            renamed.push((place, twin));
        }
        if renamed.len() == before {
            return Err(cannot(format!("the model has no tensors `{from}*`")));
        }
    }
    for (place, name) in renamed {
        bytes[place..place + name.len()].copy_from_slice(name.as_bytes());
    }
    Ok(())
}

/// Where the head of the file declares this name: behind its length. None where it is found more than once.
fn declared(head: &[u8], name: &str) -> Option<usize> {
    let wanted = [&(name.len() as u64).to_le_bytes(), name.as_bytes()].concat();
    let mut found = head.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    let (place, _) = found.next()?;
    found.next().is_none().then_some(place + 8)
}

impl FromStr for Change {
    type Err = ChangeError;

    fn from_str(text: &str) -> Result<Self, ChangeError> {
        let unknown = || ChangeError::Unknown(text.to_owned());
        let share = |text: &str| text.parse().ok().filter(|share: &f32| *share > 0.0 && *share <= 10.0);
        let (kind, value) = text.split_once('=').ok_or_else(unknown)?;
        let pair = value.split_once(',');
        let lora = || {
            let (rank, strength) = pair?;
            let rank = rank.parse().ok().filter(|rank| (1..=256).contains(rank))?;
            Some(Lora { rank, share: share(strength)? })
        };
        let change = match kind {
            "noise" => share(value).map(|share| Self::Noise { share }),
            "swap" => pair.and_then(|(first, second)| {
                Some(Self::Swap { first: first.parse().ok()?, second: second.parse().ok()? })
            }),
            "lora" => lora().map(Self::Merge),
            "adapter" => lora().map(Self::Adapter),
            _ => None,
        };
        change.ok_or_else(unknown)
    }
}

/// As it is written on a command line.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noise { share } => write!(f, "noise={share}"),
            Self::Swap { first, second } => write!(f, "swap={first},{second}"),
            Self::Merge(Lora { rank, share }) => write!(f, "lora={rank},{share}"),
            Self::Adapter(Lora { rank, share }) => write!(f, "adapter={rank},{share}"),
        }
    }
}
