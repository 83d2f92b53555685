//! What a chat template is given besides the messages. A session that is rendered again, as templates that rewrite earlier
//! messages demand, gives the same text only where these are the same.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// What a chat template is given besides the messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TemplateInputs {
    /// The tools that the model may call: a JSON array of their definitions, to the letter as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// Named values that some templates know, such as `enable_thinking`: a JSON object, to the letter as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// The day on which the chat is rendered, where the template asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date"))]
    pub date: Option<Date>,
}

/// What templates are given under these names is not for anybody to choose.
const TAKEN: [&str; 10] = [
    "messages",
    "tools",
    "documents",
    "add_generation_prompt",
    "bos_token",
    "eos_token",
    "raise_exception",
    "strftime_now",
    "namespace",
    "range",
];

/// Inputs that no template can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// The tools are no list of objects.
    #[error("the tools are not a JSON array of objects: {0}")]
    Tools(String),
    /// The arguments are no object.
    #[error("the arguments of the chat template are not a JSON object: {0}")]
    Arguments(String),
    /// The day is none.
    #[error("the day on which the chat is rendered is not a date: {0}")]
    Day(String),
    /// An argument has a name that is taken.
    #[error("an argument of the chat template cannot be called `{0}`, which every template is given")]
    Taken(String),
}

impl TemplateInputs {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same on another day, `2026-04-23`.
    ///
    /// # Errors
    /// When that is no day.
    pub fn on(mut self, day: &str) -> Result<Self, InputsError> {
        let date = day.parse().map_err(|error: jiff::Error| InputsError::Day(error.to_string()))?;
        self.date = Some(date);
        Ok(self)
    }

    /// Checks that the texts are JSON of the right kind.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), InputsError> {
        if let Some(tools) = &self.tools {
            serde_json::from_str::<Vec<AnyObject>>(tools)
                .map_err(|error| InputsError::Tools(error.to_string()))?;
        }
        if let Some(arguments) = &self.arguments {
            let arguments: BTreeMap<String, IgnoredAny> =
                serde_json::from_str(arguments).map_err(|error| InputsError::Arguments(error.to_string()))?;
            if let Some(name) = arguments.into_keys().find(|name| TAKEN.contains(&name.as_str())) {
                return Err(InputsError::Taken(name));
            }
        }
        Ok(())
    }
}

/// An object, whatever is in it.
struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyObject)
    }
}

impl<'de> Visitor<'de> for AnyObject {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_template_can_be_given_is_named() {
        let tools = |text: &str| TemplateInputs { tools: Some(text.into()), ..TemplateInputs::default() };
        let arguments =
            |text: &str| TemplateInputs { arguments: Some(text.into()), ..TemplateInputs::default() };
        for sound in [tools("[]"), tools(r#"[{"type": "function"}, {}]"#), arguments(r#"{"a": [1, {}]}"#)] {
            assert_eq!(sound.check(), Ok(()));
        }
        for unsound in [tools(""), tools("{}"), tools("[1]"), tools("[{}] x"), tools("[{]")] {
            assert!(matches!(unsound.check(), Err(InputsError::Tools(_))), "{unsound:?}");
        }
        for unsound in [arguments("[]"), arguments("{"), arguments("null")] {
            assert!(matches!(unsound.check(), Err(InputsError::Arguments(_))), "{unsound:?}");
        }
        let taken = arguments(r#"{"messages": []}"#).check();
        assert_eq!(taken, Err(InputsError::Taken("messages".into())));
    }
}
