//! The rotation that a release applies to a cache: computed, because releases before 11/4 do not record it.

use crate::identity::KvShape;
use crate::layout::{GgmlType, Layout, Rotation, RotationRule};

/// Head sizes of a model's K and V, which decide how its quantized caches are rotated. 0 where they are not known or differ
/// between layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadSizes {
    /// K and V of the layers that see everything.
    pub full: [u32; 2],
    /// K and V of the layers with a sliding window.
    pub window: [u32; 2],
}

impl HeadSizes {
    /// The head sizes that a model's metadata declares, by llama.cpp's own rules: `attention.key_length`, else
    /// `embedding_length / attention.head_count`; layers with a window may have their own.
    #[must_use]
    pub fn of(shape: &KvShape) -> Self {
        let number = |key: &str| shape.0.get(key).and_then(|value| value.parse::<u32>().ok());
        let shared = number("embedding_length")
            .zip(number("attention.head_count"))
            .and_then(|(embedding, heads)| embedding.checked_div(heads));
        let size = |key: &str| number(key).or(shared).unwrap_or(0);
        let full = [size("attention.key_length"), size("attention.value_length")];
        let window = ["attention.key_length_swa", "attention.value_length_swa"].map(number);
        Self { full, window: [window[0].unwrap_or(full[0]), window[1].unwrap_or(full[1])] }
    }

    /// The rotation that releases with this layout apply to a cache of these types, unless their environment turns it off.
    /// `windowed` for the cache of the layers with a sliding window. None where it cannot be told.
    #[must_use]
    pub fn rotation(&self, layout: &Layout, kinds: [GgmlType; 2], windowed: bool) -> Option<Rotation> {
        let sizes = if windowed { self.window } else { self.full };
        let unknown = |at: usize| kinds[at].is_quantized() && sizes[at] == 0;
        match layout.rotation {
            RotationRule::Never => Some(Rotation::default()),
            _ if unknown(0) || unknown(1) => None,
            rule => Some(Rotation::expected(rule, kinds, sizes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q8_0: GgmlType = GgmlType::Q8_0;
    const F16: GgmlType = GgmlType::F16;

    fn shape(keys: &[(&str, &str)]) -> KvShape {
        KvShape(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn head_sizes_are_declared_or_shares_of_the_embedding() {
        let shares = [("embedding_length", "896"), ("attention.head_count", "14")];
        assert_eq!(HeadSizes::of(&shape(&shares)), HeadSizes { full: [64, 64], window: [64, 64] });
        let declared = [("attention.key_length", "256"), ("attention.value_length", "128")];
        let both = [&shares[..], &declared].concat();
        assert_eq!(HeadSizes::of(&shape(&both)), HeadSizes { full: [256, 128], window: [256, 128] });
        let own = [("attention.key_length_swa", "64"), ("attention.value_length_swa", "32")];
        let windowed = [&both[..], &own].concat();
        assert_eq!(HeadSizes::of(&shape(&windowed)), HeadSizes { full: [256, 128], window: [64, 32] });
        for unknown in [
            &[][..],
            &[("embedding_length", "896"), ("attention.head_count", "0")],
            &[("attention.head_count", "[2, 4]")],
        ] {
            assert_eq!(HeadSizes::of(&shape(unknown)), HeadSizes::default(), "{unknown:?}");
        }
    }

    /// The table: packages and their releases, types, head size, and the sizes that K and V are rotated by.
    #[test]
    fn releases_rotate_quantized_caches_from_b8619_on() {
        let never = [109, 113, 131, 138, 139, 141];
        let always = [142, 146, 147, 156, 157, 159, 160, 161];
        // (types, head size, rotation where the release rotates)
        let table = [
            ([F16, F16], 64, (0, 0)),
            ([Q8_0, Q8_0], 32, (0, 0)),
            ([Q8_0, Q8_0], 64, (64, 64)),
            ([Q8_0, Q8_0], 96, (0, 0)),
            ([Q8_0, Q8_0], 128, (128, 64)),
            ([GgmlType::Q4_0, F16], 128, (128, 0)),
            ([F16, GgmlType::Q4_0], 128, (0, 64)),
        ];
        for (kinds, head, (keys, values)) in table {
            let sizes = HeadSizes { full: [head; 2], window: [0; 2] };
            let rotation = |patch| sizes.rotation(Layout::of_crate(patch).unwrap(), kinds, false);
            for patch in never {
                assert_eq!(rotation(patch), Some(Rotation::default()), "0.1.{patch} {kinds:?}");
            }
            for patch in always {
                assert_eq!(rotation(patch), Some(Rotation { keys, values }), "0.1.{patch} {kinds:?} {head}");
            }
        }
    }

    #[test]
    fn without_a_head_size_a_quantized_cache_may_be_rotated_or_not() {
        let unknown = HeadSizes { full: [64, 0], window: [0, 64] };
        let newest = Layout::newest();
        assert_eq!(unknown.rotation(newest, [Q8_0, Q8_0], false), None);
        assert_eq!(unknown.rotation(newest, [Q8_0, F16], false), Some(Rotation { keys: 64, values: 0 }));
        assert_eq!(unknown.rotation(newest, [Q8_0, F16], true), None);
        assert_eq!(unknown.rotation(newest, [F16, F16], false), Some(Rotation::default()));
    }
}
