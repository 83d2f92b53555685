//! What a template is given besides the messages.

use intact_format::inputs::TemplateInputs;
use jiff::civil::Date;
use minijinja::value::Value;

use super::TemplateError;
use super::json;
use super::marks::Controls;

/// What a template is given besides the messages, as it takes it.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    given: TemplateInputs,
    tools: Option<Value>,
    arguments: Vec<(String, Value)>,
    date: Date,
}

impl Inputs {
    /// Nothing but a day.
    pub(super) fn on(date: Date) -> Self {
        Self { given: TemplateInputs::default(), tools: None, arguments: Vec::new(), date }
    }

    /// What was given; where it says no day, `today`.
    pub(super) fn of(
        given: &TemplateInputs,
        today: Date,
        controls: &Controls,
    ) -> Result<Self, TemplateError> {
        let failed = |reason: String| TemplateError::Inputs { reason };
        given.check().map_err(|error| failed(error.to_string()))?;
        let wrong = |error: serde_json::Error| failed(error.to_string());
        let tools = given.tools.as_deref().map(|tools| json::parsed(tools, controls)).transpose();
        let tools = tools.map_err(wrong)?.filter(|tools| tools.len() != Some(0));
        let arguments =
            given.arguments.as_deref().map_or(Ok(Vec::new()), |text| json::members(text, controls));
        let arguments = arguments.map_err(wrong)?;
        // No tools are as good as an empty list of them.
        let given = TemplateInputs {
            tools: given.tools.clone().filter(|_| tools.is_some()),
            arguments: given.arguments.clone().filter(|_| !arguments.is_empty()),
            date: given.date,
        };
        Ok(Self { tools, arguments, date: given.date.unwrap_or(today), given })
    }

    /// These tools and a day.
    pub(super) fn of_tools(tools: &str, date: Date) -> Self {
        Self { tools: json::parsed(tools, &Controls::default()).ok(), ..Self::on(date) }
    }

    /// The day on which a chat is rendered.
    pub(super) fn date(&self) -> Date {
        self.date
    }

    /// Whether there is any tool.
    pub(super) fn has_tools(&self) -> bool {
        self.tools.is_some()
    }

    /// The tools, or none.
    pub(super) fn tools(&self) -> Value {
        self.tools.clone().unwrap_or_else(|| Value::from(()))
    }

    /// The arguments.
    pub(super) fn arguments(&self) -> impl Iterator<Item = (&str, Value)> {
        self.arguments.iter().map(|(name, value)| (name.as_str(), value.clone()))
    }

    /// Bytes of all that was given.
    pub(super) fn bytes(&self) -> u64 {
        let texts = [&self.given.tools, &self.given.arguments];
        texts.into_iter().flatten().map(|text| text.len() as u64).sum()
    }

    /// What was given, with the day where one is asked for.
    pub(super) fn given(&self, with_date: bool) -> TemplateInputs {
        TemplateInputs { date: with_date.then_some(self.date), ..self.given.clone() }
    }
}
