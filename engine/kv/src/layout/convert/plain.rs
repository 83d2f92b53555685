//! Caches as 32-bit floats, to compare what they hold and not how.

use crate::layout::{Attention, CacheFormat, ConvertError, Distance, GgmlType, Matrix, Rotation};

use super::Step;

const PLAIN: CacheFormat = CacheFormat {
    keys: GgmlType::F32,
    values: GgmlType::F32,
    rotation: Rotation { keys: 0, values: 0 },
    transposed: false,
};

impl Attention<'_> {
    /// The cache as 32-bit floats by cell, not rotated.
    ///
    /// # Errors
    /// As [`Attention::convert`].
    pub fn plain(&self) -> Result<Attention<'static>, ConvertError> {
        Ok(self.convert(&PLAIN)?.section)
    }
}

impl Matrix<'_> {
    /// The matrix as 32-bit floats by cell, rotated as it is.
    ///
    /// # Errors
    /// When its type has no conversion.
    pub fn plain(&self) -> Result<Matrix<'static>, ConvertError> {
        let step = Step { kind: PLAIN.keys, transposed: false, from: 0, to: 0 };
        step.apply(self, &mut Distance::default())
    }

    /// Numbers of one cell.
    #[must_use]
    pub fn elements(&self) -> usize {
        let block = self.kind.block();
        let (elements, bytes) =
            block.map_or((1, 1), |block| (u64::from(block.elements), u64::from(block.bytes)));
        usize::try_from(self.order.cell_bytes() / bytes.max(1) * elements).unwrap_or(usize::MAX)
    }

    /// How far the cells of this matrix are from those of another one, pair by pair; both must be [`plain`](Self::plain).
    #[must_use]
    pub fn apart(&self, other: &Matrix<'_>, pairs: &[(usize, usize)]) -> Distance {
        let (mine, theirs) = (self.numbers(), other.numbers());
        let elements = self.elements();
        let row = |numbers: &[f32], cell: usize| {
            numbers.get(cell * elements..(cell + 1) * elements).unwrap_or_default().to_vec()
        };
        let mut distance = Distance::default();
        for &(here, there) in pairs {
            distance.add(&row(&theirs, there), &row(&mine, here));
        }
        distance
    }

    fn numbers(&self) -> Vec<f32> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
    }
}
