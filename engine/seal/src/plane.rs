//! Numbers apart into planes: all first bytes, then all second bytes. The high bytes of neighbouring numbers are alike,
//! which a compressor only sees when they stand together.

/// Bytes by plane. What is left over at the end stays as it is.
pub(crate) fn split(bytes: &[u8], stride: usize) -> Vec<u8> {
    let (whole, rest) = bytes.split_at(whole(bytes.len(), stride));
    let mut planes = Vec::with_capacity(bytes.len());
    for plane in 0..stride.max(1) {
        planes.extend(whole.iter().skip(plane).step_by(stride.max(1)));
    }
    planes.extend_from_slice(rest);
    planes
}

/// The opposite of [`split`].
pub(crate) fn join(planes: &[u8], stride: usize) -> Vec<u8> {
    let (whole, rest) = planes.split_at(whole(planes.len(), stride));
    let mut bytes = vec![0; whole.len()];
    let rows = whole.len() / stride.max(1);
    for (plane, source) in whole.chunks_exact(rows.max(1)).enumerate() {
        for (target, byte) in bytes.iter_mut().skip(plane).step_by(stride.max(1)).zip(source) {
            *target = *byte;
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

fn whole(length: usize, stride: usize) -> usize {
    length - length % stride.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{join, split};

    #[test]
    fn high_bytes_come_together() {
        assert_eq!(split(&[1, 10, 2, 20, 3, 30, 4], 2), [1, 2, 3, 10, 20, 30, 4]);
    }

    proptest! {
        #[test]
        fn joining_undoes_splitting(bytes: Vec<u8>, stride in 0..70_usize) {
            prop_assert_eq!(join(&split(&bytes, stride), stride), bytes);
        }
    }
}
