//! What systems do where another one would go wrong: questions as data, answered by the cells of a run.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::filter::{Filter, Subject};
use crate::plan::subject_of;
use crate::results::{Cell, PropertyAnswer, PropertyResult};
use crate::verdict::Verdict;

/// One question, as `harness/properties.toml` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Property {
    name: String,
    question: String,
    when: String,
    answer: Vec<Answer>,
}

/// What some verdicts say to the question.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    verdicts: Vec<Verdict>,
    says: String,
    safe: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Properties {
    property: Vec<Property>,
}

static PROPERTIES: LazyLock<Vec<(Property, Filter)>> = LazyLock::new(|| {
    let table: Properties =
        toml::from_str(include_str!("../properties.toml")).expect("the embedded table of properties is TOML");
    let readable = |property: Property| {
        let filter = property.when.parse().expect("the embedded table's filters can be read");
        (property, filter)
    };
    table.property.into_iter().map(readable).collect()
});

/// The questions that cells of this run answer.
#[must_use]
pub(crate) fn answer(cells: &[Cell]) -> Vec<PropertyResult> {
    PROPERTIES.iter().filter_map(|(property, filter)| property.answered(filter, cells)).collect()
}

impl Property {
    fn answered(&self, filter: &Filter, cells: &[Cell]) -> Option<PropertyResult> {
        let mut answers: Vec<PropertyAnswer> = Vec::new();
        for cell in cells.iter().filter(|cell| cell.verdict.is_verdict()) {
            if !filter.selects(Subject::planned(&cell.id, &cell.dims)) {
                continue;
            }
            let Some(answer) = self.answer.iter().find(|answer| answer.verdicts.contains(&cell.verdict))
            else {
                continue;
            };
            let system = system(cell);
            let known =
                answers.iter_mut().find(|known| known.system == system && known.answer == answer.says);
            match known {
                Some(known) => known.cells.push(cell.id.clone()),
                None => answers.push(PropertyAnswer {
                    system: system.to_owned(),
                    answer: answer.says.clone(),
                    safe: answer.safe,
                    cells: vec![cell.id.clone()],
                }),
            }
        }
        (!answers.is_empty()).then(|| PropertyResult {
            name: self.name.clone(),
            question: self.question.clone(),
            answers,
        })
    }
}

/// The system that loads in a cell: its subject, with the version where several are installed.
#[must_use]
pub(crate) fn system(cell: &Cell) -> &str {
    let dim = |name: &str| cell.dims.get(name).map_or("", String::as_str);
    let (subject, reader) = (dim("subject"), dim("reader"));
    if reader.contains('@') && subject_of(reader) == subject { reader } else { subject }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::results::{Dims, sample_cell};

    #[test]
    fn every_question_is_asked_of_axes_that_there_are_and_has_one_answer_for_a_verdict() {
        let text = include_str!("../adapters/peers.toml");
        let config = Config::parse(text, Path::new("peers.toml")).expect("sound");
        assert!(PROPERTIES.len() >= 8, "{} properties", PROPERTIES.len());
        for (property, filter) in PROPERTIES.iter() {
            filter
                .check_names(&property.when, &config.dimensions())
                .unwrap_or_else(|error| panic!("{error}"));
            for verdict in Verdict::ALL.into_iter().filter(|verdict| verdict.is_verdict()) {
                let answers =
                    property.answer.iter().filter(|answer| answer.verdicts.contains(&verdict)).count();
                assert!(answers <= 1, "{}: {answers} answers for {verdict}", property.name);
            }
        }
    }

    #[test]
    fn cells_that_disagree_give_a_system_two_answers_each_with_its_cells() {
        let property: Property = toml::from_str(
            r#"
            name = "weights"
            question = "Are other weights noticed?"
            when = "weights(other)"
            answer = [
              { verdicts = ["refused"], says = "refused", safe = true },
              { verdicts = ["corrupt"], says = "not noticed", safe = false },
            ]"#,
        )
        .expect("a property");
        let cell = |id: &str, subject: &str, reader: &str, weights: &str, verdict| {
            let dims: Dims = [("subject", subject), ("reader", reader), ("weights", weights)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
            Cell { dims, verdict, ..sample_cell(id) }
        };
        let cells = [
            cell("1", "node", "node@1", "other", Verdict::Corrupt),
            cell("2", "node", "node@2", "other", Verdict::Refused),
            cell("3", "node", "node@2", "other", Verdict::Corrupt),
            cell("4", "engine", "0.6.0", "other", Verdict::Refused),
            cell("5", "engine", "0.6.0", "same", Verdict::Exact),
            cell("6", "engine", "0.6.0", "other", Verdict::NotRun),
        ];
        let filter = property.when.parse().expect("a filter");
        let answered = property.answered(&filter, &cells).expect("answers");
        let told: Vec<(&str, &str, bool, Vec<&str>)> = answered
            .answers
            .iter()
            .map(|answer| {
                let cells = answer.cells.iter().map(String::as_str).collect();
                (answer.system.as_str(), answer.answer.as_str(), answer.safe, cells)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("node@1", "not noticed", false, vec!["1"]),
                ("node@2", "refused", true, vec!["2"]),
                ("node@2", "not noticed", false, vec!["3"]),
                ("engine", "refused", true, vec!["4"]),
            ]
        );
    }
}
