//! Documents inside the page: JSON, deflated, as base64. A browser unpacks them without any library.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde::Serialize;

use crate::text;

/// Past this level the documents hardly get smaller, and packing takes several times as long.
const LEVEL: u8 = 6;

/// Packs a document, without what acts on a reader. What comes out has no character that HTML knows.
pub(super) fn packed(document: &impl Serialize) -> Result<String, String> {
    let json = serde_json::to_string(document).map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(compress_to_vec_zlib(text::json(&json).as_bytes(), LEVEL)))
}

/// Values, each once, in the order in which they were first met.
#[derive(Debug)]
pub(super) struct Interned<T> {
    list: Vec<T>,
    places: BTreeMap<T, usize>,
}

impl<T: Ord + Clone> Interned<T> {
    /// The place of a value.
    pub(super) fn place(&mut self, value: T) -> usize {
        *self.places.entry(value).or_insert_with_key(|value| {
            self.list.push(value.clone());
            self.list.len() - 1
        })
    }

    /// The values.
    pub(super) fn into_list(self) -> Vec<T> {
        self.list
    }
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { list: Vec::new(), places: BTreeMap::new() }
    }
}

/// A number with as many digits as a person reads; JSON gets shorter by two thirds.
pub(super) fn rounded(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unpacks_to_the_same_and_is_no_markup() {
        let hostile = ["</script><script>alert(1)</script><!-- & \u{2028}"; 3];
        let text = packed(&hostile).expect("packed");
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)), "{text}");
        let deflated = STANDARD.decode(text).expect("base64");
        let json = miniz_oxide::inflate::decompress_to_vec_zlib(&deflated).expect("deflated");
        assert_eq!(serde_json::from_slice::<Vec<String>>(&json).expect("json"), hostile);
    }

    #[test]
    fn a_value_is_kept_once() {
        let mut texts = Interned::default();
        assert_eq!(["a", "b", "a"].map(|text| texts.place(text)), [0, 1, 0]);
        assert_eq!(texts.into_list(), ["a", "b"]);
    }

    #[test]
    fn a_number_keeps_the_digits_that_are_read() {
        assert_eq!(rounded(7.094_312_051_062_473e-5), 7.09431e-5);
        assert_eq!(rounded(0.0), 0.0);
        assert!(rounded(f64::NAN).is_nan());
    }
}
