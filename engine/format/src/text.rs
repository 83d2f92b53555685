//! Text that other programs wrote.

use serde::de::{DeserializeOwned, IgnoredAny};

/// What some editors put before text in UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Text without the mark that some editors put before it.
#[must_use]
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The value of a member of a JSON object, to the letter: what reads it into values forgets the order of its keys.
#[must_use]
pub fn member<'t>(object: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = object.trim_start().strip_prefix('{')?.trim_start();
    loop {
        let (key, behind) = first::<String>(rest)?;
        let value = behind.trim_start().strip_prefix(':')?.trim_start();
        let (_, behind) = first::<IgnoredAny>(value)?;
        if key == name {
            return value.get(..value.len() - behind.len());
        }
        rest = behind.trim_start().strip_prefix(',')?.trim_start();
    }
}

/// The first value in a text, and what stands behind it.
fn first<T: DeserializeOwned>(text: &str) -> Option<(T, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, text.get(values.byte_offset()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_given_to_the_letter() {
        let object = r#" { "a" :1, "b\u0063": {"z": [1 , 2],"a":"}"} ,"c":null , "d":[ ]}"#;
        for (name, expected) in [
            ("a", Some("1")),
            ("bc", Some(r#"{"z": [1 , 2],"a":"}"}"#)),
            ("c", Some("null")),
            ("d", Some("[ ]")),
            ("z", None),
        ] {
            assert_eq!(member(object, name), expected, "{name}");
        }
        for other in ["[1]", "{", r#"{"a""#, r#"{"a": ]}"#, "{}"] {
            assert_eq!(member(other, "a"), None, "{other}");
        }
    }

    #[test]
    fn only_a_mark_at_the_start_goes() {
        assert_eq!(without_byte_order_mark("\u{feff}a\u{feff}".as_bytes()), "a\u{feff}".as_bytes());
        assert_eq!(without_byte_order_mark(b"a"), b"a");
    }
}
