//! Rewriting what a cache stores for a context with other settings: tensor types, rotation, transposition.
//!
//! Moving bytes (transposition, same type and rotation) is exact. Everything else goes through 32-bit floats and reports
//! how far the result is from what was stored.

mod hadamard;
mod number;
mod plain;
mod transpose;

use std::borrow::Cow;

use super::{Attention, Block, GgmlType, Matrix, Order, Rotation, RotationRule};
use number::{Codec, codec};

/// What a context's attention cache stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheFormat {
    /// Type of K.
    pub keys: GgmlType,
    /// Type of V.
    pub values: GgmlType,
    /// Rotation of K and V.
    pub rotation: Rotation,
    /// V by element and not by cell.
    pub transposed: bool,
}

/// A rewritten cache, and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The cache as the target stores it.
    pub section: Attention<'static>,
    /// How far it is from what was stored.
    pub distances: Distances,
}

/// How far converted numbers are from the stored ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distance {
    /// Sum of the squares of the differences.
    pub error: f64,
    /// Sum of the squares of the stored numbers.
    pub energy: f64,
}

/// A conversion that is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// There is no conversion between the types.
    #[error("{from} cannot be converted to {to}; f32, f16, bf16, q8_0 and q4_0 can")]
    Types {
        /// What is stored.
        from: GgmlType,
        /// What is wanted.
        to: GgmlType,
    },
    /// The rows are not made of whole blocks of the type or the rotation.
    #[error("rows of {elements} elements are not whole blocks of {block}, which {what} needs")]
    Blocks {
        /// Elements per row.
        elements: usize,
        /// Elements per block.
        block: usize,
        /// What has blocks.
        what: String,
    },
    /// Quantized values have no elements that could be stored apart.
    #[error("{kind} cannot be stored transposed: it is quantized")]
    Transposed {
        /// The type.
        kind: GgmlType,
    },
    /// It is not known whether the stored values are rotated.
    #[error("K and V are quantized by a release that may rotate them and does not say so; name the rotation")]
    UnknownRotation,
    /// Formats for another memory.
    #[error("the state has another number of attention caches than there are formats for")]
    Sections,
}

/// How far a state's converted numbers are from the stored ones, over all of its caches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distances {
    /// Distance of K.
    pub keys: Distance,
    /// Distance of V.
    pub values: Distance,
}

impl Distance {
    /// Normalised mean squared error; 0 when nothing changed.
    #[must_use]
    pub fn nmse(&self) -> f64 {
        if self.error == 0.0 { 0.0 } else { self.error / self.energy }
    }

    /// The distance of this and other numbers together.
    fn join(&mut self, other: Self) {
        self.error += other.error;
        self.energy += other.energy;
    }

    fn add(&mut self, stored: &[f32], converted: &[f32]) {
        for (stored, converted) in stored.iter().zip(converted) {
            let difference = f64::from(*stored) - f64::from(*converted);
            self.error += difference * difference;
            self.energy += f64::from(*stored) * f64::from(*stored);
        }
    }
}

impl Distances {
    /// The distances of these and other numbers together.
    pub fn join(&mut self, other: Self) {
        self.keys.join(other.keys);
        self.values.join(other.values);
    }

    /// Whether no number changed.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.keys.error == 0.0 && self.values.error == 0.0
    }
}

impl Rotation {
    /// The rotation that a release applies to caches of these types and head sizes, unless its environment turns it off.
    /// A head size of 0 stands for layers that differ in it. Indexer caches have rules of their own.
    #[must_use]
    pub fn expected(rule: RotationRule, kinds: [GgmlType; 2], head_sizes: [u32; 2]) -> Self {
        let rotates = |kind: GgmlType, head: u32| {
            rule != RotationRule::Never
                && kind.is_quantized()
                && head > 0
                && head.is_multiple_of(SMALLEST_ROTATION)
        };
        let largest = |head: u32| SMALLEST_ROTATION << (head / SMALLEST_ROTATION).trailing_zeros();
        Self {
            keys: if rotates(kinds[0], head_sizes[0]) { largest(head_sizes[0]) } else { 0 },
            values: if rotates(kinds[1], head_sizes[1]) { SMALLEST_ROTATION } else { 0 },
        }
    }
}

/// Elements of the smallest rotation.
const SMALLEST_ROTATION: u32 = 64;

impl Attention<'_> {
    /// What this cache stores, as its first layer says. None without layers or where the rotation is not known; V counts as
    /// of K's type where there is none.
    #[must_use]
    pub fn format(&self) -> Option<CacheFormat> {
        let keys = self.keys.first()?.kind;
        let values = self.values.first().map_or(keys, |matrix| matrix.kind);
        let quantized = keys.is_quantized() || values.is_quantized();
        let rotation = self.rotation.or((!quantized).then_some(Rotation::default()))?;
        Some(CacheFormat { keys, values, rotation, transposed: self.transposed })
    }

    /// Rewrites the cache for a context that stores `wanted`, if it has cells and is not stored like that already.
    ///
    /// # Errors
    /// As [`Attention::convert`].
    pub fn converted(self, wanted: &CacheFormat) -> Result<(Self, Distances), ConvertError> {
        if self.cells.is_empty() || self.format().as_ref() == Some(wanted) {
            return Ok((self, Distances::default()));
        }
        let Converted { section, distances } = self.convert(wanted)?;
        Ok((section, distances))
    }

    /// Rewrites the cache for a context that stores `wanted`.
    ///
    /// A cache whose rotation is not known ([`Attention::rotation`] is none) is taken as not rotated where its types are not
    /// quantized.
    ///
    /// # Errors
    /// When a type has no conversion, rows do not fit its blocks, or the stored rotation is not known.
    pub fn convert(&self, wanted: &CacheFormat) -> Result<Converted, ConvertError> {
        let quantized = self.keys.iter().chain(&self.values).any(|matrix| matrix.kind.is_quantized());
        let stored = match self.rotation {
            Some(rotation) => rotation,
            None if quantized => return Err(ConvertError::UnknownRotation),
            None => Rotation::default(),
        };
        let mut distances = Distances::default();
        let Distances { keys, values } = &mut distances;
        let key = Step { kind: wanted.keys, transposed: false, from: stored.keys, to: wanted.rotation.keys };
        let value = Step {
            kind: wanted.values,
            transposed: wanted.transposed,
            from: stored.values,
            to: wanted.rotation.values,
        };
        let section = Attention {
            shape: self.shape,
            cells: self.cells.clone(),
            transposed: wanted.transposed,
            rotation: Some(wanted.rotation),
            keys: self.keys.iter().map(|matrix| key.apply(matrix, keys)).collect::<Result<_, _>>()?,
            values: self.values.iter().map(|matrix| value.apply(matrix, values)).collect::<Result<_, _>>()?,
        };
        Ok(Converted { section, distances })
    }
}

/// What is to be done to every K or every V.
struct Step {
    kind: GgmlType,
    transposed: bool,
    from: u32,
    to: u32,
}

impl Step {
    fn apply(&self, matrix: &Matrix<'_>, distance: &mut Distance) -> Result<Matrix<'static>, ConvertError> {
        if self.transposed && self.kind.is_quantized() {
            return Err(ConvertError::Transposed { kind: self.kind });
        }
        let mut by_cell = matrix.by_cell();
        if matrix.kind != self.kind || self.from != self.to {
            by_cell = self.renumber(&by_cell, distance)?;
        }
        Ok(if self.transposed { by_cell.by_element() } else { by_cell })
    }

    fn renumber(
        &self,
        matrix: &Matrix<'static>,
        distance: &mut Distance,
    ) -> Result<Matrix<'static>, ConvertError> {
        let types = || ConvertError::Types { from: matrix.kind, to: self.kind };
        let (from, to) = (codec(matrix.kind).ok_or_else(types)?, codec(self.kind).ok_or_else(types)?);
        let row_bytes = usize::try_from(matrix.order.cell_bytes()).unwrap_or(0);
        let elements = row_bytes / from.block_bytes * from.block_elements;
        let whole = |block: u32, what: &dyn Fn() -> String| {
            let block = (block as usize).max(1);
            if elements.is_multiple_of(block) {
                Ok(())
            } else {
                Err(ConvertError::Blocks { elements, block, what: what() })
            }
        };
        whole(u32::try_from(to.block_elements).unwrap_or(u32::MAX), &|| self.kind.to_string())?;
        whole(self.from, &|| "the stored rotation".to_owned())?;
        whole(self.to, &|| "the wanted rotation".to_owned())?;
        let cells = matrix.cell_count();
        let out_bytes = elements / to.block_elements * to.block_bytes;
        let mut bytes = vec![0; cells * out_bytes];
        if row_bytes > 0 {
            let rows =
                matrix.blocks.iter().flat_map(|block| block.rows(row_bytes as u64).chunks_exact(row_bytes));
            self.rows(rows, bytes.chunks_exact_mut(out_bytes.max(1)), elements, [&from, &to], distance);
        }
        Ok(Matrix::whole(self.kind, Order::ByCell { row_bytes: out_bytes as u64 }, bytes, cells))
    }

    fn rows<'b>(
        &self,
        rows: impl Iterator<Item = &'b [u8]>,
        out: impl Iterator<Item = &'b mut [u8]>,
        elements: usize,
        [from, to]: [&Codec; 2],
        distance: &mut Distance,
    ) {
        let (mut wanted, mut got) = (vec![0.0; elements], vec![0.0; elements]);
        for (row, out) in rows.zip(out) {
            (from.decode)(row, &mut wanted);
            if self.from != self.to {
                hadamard::rotate(&mut wanted, self.from as usize);
                hadamard::rotate(&mut wanted, self.to as usize);
            }
            (to.encode)(&wanted, out);
            (to.decode)(out, &mut got);
            distance.add(&wanted, &got);
        }
    }
}

impl Matrix<'_> {
    fn whole(kind: GgmlType, order: Order, bytes: Vec<u8>, cells: usize) -> Matrix<'static> {
        let blocks = vec![Block { bytes: Cow::Owned(bytes), stored_cells: cells, cells: 0..cells }];
        Matrix { kind, order, blocks }
    }
}
