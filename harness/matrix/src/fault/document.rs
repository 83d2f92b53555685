//! Edits of session documents, by the names that session files and bare chat files use.

use intact_format::session::DocumentV2_1 as Document;
use serde_json::Value;

use super::{FaultError, inapplicable};

/// An edit of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// The version is newer, and token ids mean something else (differences).
    NewerVersion,
    /// A message says something else.
    History,
    /// The last token of every list is another.
    Tokens,
    /// The image is said to have more cells.
    Shape,
}

const VERSION_KEYS: [&str; 3] = ["FormatVersion", "format_version", "version"];
const CONTENT_KEYS: [&str; 3] = ["Content", "content", "text"];
const TOKEN_KEYS: [&str; 3] = ["TokenIds", "tokens", "token_ids"];
const IMAGE_KEY: &str = "Image";
const SHAPE_KEYS: [&str; 2] = ["cells", "bytes"];

/// The document as one leaves it who edits the text and knows of nothing else.
pub(super) fn edit(bytes: &[u8], edit: Edit) -> Result<Vec<u8>, FaultError> {
    let mut document = parse(bytes)?;
    apply(&mut document, edit)?;
    serde_json::to_vec(&document)
        .map_err(|error| inapplicable(&format!("the edited document is not JSON: {error}")))
}

/// The same with a digest that is right for the edited document.
pub(super) fn forge(bytes: &[u8], edit: Edit) -> Result<Vec<u8>, FaultError> {
    let mut document = parse(bytes)?;
    apply(&mut document, edit)?;
    seal(document)
}

/// The document with another one's image, sealed.
pub(super) fn with_image_of(bytes: &[u8], theirs: &[u8]) -> Result<Vec<u8>, FaultError> {
    let (mut document, theirs) = (parse(bytes)?, parse(theirs)?);
    let image = theirs.get(IMAGE_KEY).ok_or_else(|| inapplicable("the other document names no image"))?;
    let ours = document.get_mut(IMAGE_KEY).ok_or_else(|| inapplicable("the document names no image"))?;
    ours.clone_from(image);
    seal(document)
}

fn parse(bytes: &[u8]) -> Result<Value, FaultError> {
    serde_json::from_slice(bytes).map_err(|error| inapplicable(&format!("the document is not JSON: {error}")))
}

fn seal(document: Value) -> Result<Vec<u8>, FaultError> {
    let not_sealed = |error: serde_json::Error| inapplicable(&format!("the document has no digest: {error}"));
    let document: Document = serde_json::from_value(document).map_err(not_sealed)?;
    serde_json::to_vec(&document.sealed().map_err(not_sealed)?).map_err(not_sealed)
}

fn apply(document: &mut Value, edit: Edit) -> Result<(), FaultError> {
    let edited = match edit {
        Edit::NewerVersion => {
            let named = visit(document, &VERSION_KEYS, &mut |version| *version = Value::from("3.0"));
            if named == 0
                && let Some(fields) = document.as_object_mut()
            {
                fields.insert(VERSION_KEYS[0].to_owned(), Value::from("3.0"));
            }
            visit(document, &TOKEN_KEYS, &mut to_differences) + 1
        }
        Edit::History => visit(document, &CONTENT_KEYS, &mut reword),
        Edit::Tokens => visit(document, &TOKEN_KEYS, &mut replace_last),
        Edit::Shape => {
            let image =
                document.get_mut(IMAGE_KEY).ok_or_else(|| inapplicable("the document names no image"))?;
            visit(image, &SHAPE_KEYS, &mut grow)
        }
    };
    if edited == 0 { Err(inapplicable("the document has nothing that could be edited so")) } else { Ok(()) }
}

/// Calls `change` on the value of every field with one of these names; how many there were.
fn visit(value: &mut Value, keys: &[&str], change: &mut impl FnMut(&mut Value)) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter_mut()
            .map(|(key, value)| {
                if keys.contains(&key.as_str()) && !value.is_object() {
                    change(value);
                    return 1;
                }
                visit(value, keys, change)
            })
            .sum(),
        Value::Array(items) => items.iter_mut().map(|item| visit(item, keys, change)).sum(),
        _ => 0,
    }
}

fn to_differences(tokens: &mut Value) {
    let mut before = 0;
    for token in tokens.as_array_mut().into_iter().flatten() {
        let here = token.as_i64().unwrap_or_default();
        *token = Value::from((here - before).abs());
        before = here;
    }
}

fn replace_last(tokens: &mut Value) {
    if let Some(last) = tokens.as_array_mut().and_then(|tokens| tokens.last_mut()) {
        *last = Value::from(last.as_i64().unwrap_or_default() ^ 1);
    }
}

fn reword(content: &mut Value) {
    let reworded = content.as_str().map(|text| {
        let swapped = |letter: char| {
            let other =
                if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            if letter.is_ascii_alphabetic() { other } else { letter }
        };
        text.chars().map(swapped).collect::<String>()
    });
    if let Some(text) = reworded {
        *content = Value::from(text);
    }
}

fn grow(number: &mut Value) {
    if let Some(count) = number.as_u64() {
        *number = Value::from(count + 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(document: &Value, edit: Edit) -> Value {
        let bytes = super::edit(&serde_json::to_vec(document).expect("json"), edit).expect("applicable");
        serde_json::from_slice(&bytes).expect("json")
    }

    #[test]
    fn edits_find_their_fields_by_either_naming() {
        let ours = json!({"FormatVersion": "2.0", "History": [{"Content": "Hi 5", "TokenIds": [3, 7, 8]}]});
        let bare = json!({"messages": [{"role": "user", "text": "Hi 5"}], "tokens": [3, 7, 8]});
        assert_eq!(
            edited(&ours, Edit::NewerVersion),
            json!({"FormatVersion": "3.0", "History": [{"Content": "Hi 5", "TokenIds": [3, 4, 1]}]})
        );
        assert_eq!(
            edited(&bare, Edit::Tokens),
            json!({"messages": [{"role": "user", "text": "Hi 5"}], "tokens": [3, 7, 9]})
        );
        assert_eq!(
            edited(&bare, Edit::History),
            json!({"messages": [{"role": "user", "text": "hI 5"}], "tokens": [3, 7, 8]})
        );
        let image = json!({"cells": 9, "Image": {"sections": [{"cells": 9, "chunks": [{"cells": 9}]}]}});
        assert_eq!(
            edited(&image, Edit::Shape),
            json!({"cells": 9, "Image": {"sections": [{"cells": 10, "chunks": [{"cells": 10}]}]}})
        );
    }

    #[test]
    fn an_edit_without_anything_to_edit_says_so() {
        for edit in [Edit::History, Edit::Tokens, Edit::Shape] {
            assert!(matches!(super::edit(b"{}", edit), Err(FaultError::Inapplicable(_))), "{edit:?}");
        }
        assert!(matches!(edit(b"{", Edit::History), Err(FaultError::Inapplicable(_))));
    }
}
