//! JSON on its way into a template. Objects keep the order in which they were written: a template that prints what it was given
//! prints it so, as Python's does.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::marks::Controls;

/// A map that keeps its order.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    entries: Vec<(String, Value)>,
    /// Where each name is: others may have written a million of them.
    places: HashMap<String, usize>,
}

impl Ordered {
    /// A map as a template takes it. Of two entries of one name the last one counts, as in Python.
    pub(super) fn value<K: Into<String>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
        let mut map = Self::default();
        for (name, value) in entries {
            let name = name.into();
            match map.places.get(&name) {
                Some(&at) => map.entries[at].1 = value,
                None => {
                    map.places.insert(name.clone(), map.entries.len());
                    map.entries.push((name, value));
                }
            }
        }
        Value::from_object(map)
    }
}

impl Object for Ordered {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = self.places.get(key.as_str()?)?;
        self.entries.get(*place).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries.iter().map(|(name, _)| Value::from(name.as_str())).collect())
    }
}

/// The value of a JSON text, in which control tokens are spelled.
pub(super) fn parsed(text: &str, controls: &Controls) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Spelling(controls).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The members of a JSON object.
pub(super) fn members(text: &str, controls: &Controls) -> Result<Vec<(String, Value)>, serde_json::Error> {
    let value = parsed(text, controls)?;
    let object = value.downcast_object_ref::<Ordered>();
    Ok(object.ok_or_else(|| serde_json::Error::custom("it is not an object"))?.entries.clone())
}

/// What reads a value.
#[derive(Clone, Copy)]
struct Spelling<'c>(&'c Controls);

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(self.0.spelled(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::from(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            entries.push((self.0.spelled(&name), map.next_value_seed(self)?));
        }
        Ok(Ordered::value(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_was_given_in_its_order() {
        for (json, expected) in [
            (
                r#"{"b": 1, "a": {"z": null, "y": [true, 1.5, -3]}}"#,
                r#"{"b":1,"a":{"z":null,"y":[true,1.5,-3]}}"#,
            ),
            (r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"a":3,"b":2}"#),
            (r#""\u00fc""#, r#""ü""#),
        ] {
            let value = parsed(json, &Controls::default()).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), expected);
        }
        // Others may write as many members as they like.
        let many: Vec<String> = (0..100_000).map(|number| format!("\"{number}\":0")).collect();
        let value = parsed(&format!("{{{}}}", many.join(",")), &Controls::default()).unwrap();
        assert_eq!((value.len(), value.get_attr("99999").unwrap()), (Some(100_000), Value::from(0)));
        assert!(parsed("{} {}", &Controls::default()).is_err());
        assert!(members("[]", &Controls::default()).is_err());
    }
}
