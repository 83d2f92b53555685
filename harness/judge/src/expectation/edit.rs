//! Edits of `expectations.toml` that leave comments, order and everything else as they are.

use intact_matrix::verdict::Verdict;
use jiff::civil::Date;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TomlError, value};

/// Beginning of the reason of an entry that a person has yet to look at.
pub const UNREVIEWED: &str = "REVIEW: ";

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// Entries that go, by their place.
    pub remove: Vec<usize>,
    /// Entries whose verdicts change, by their place.
    pub change: Vec<(usize, Vec<Verdict>, Option<String>)>,
    /// Entries that come before all others.
    pub add: Vec<NewEntry>,
}

/// An entry that nobody has reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Which cells.
    pub when: String,
    /// The plan that it was found in.
    pub plan: String,
    /// What they ended as.
    pub outcome: Vec<Verdict>,
    /// The code that all refusals have.
    pub code: Option<String>,
    /// What was found, for whoever reviews it.
    pub found: String,
    /// The last day on which it holds, where its verdicts need one.
    pub expires: Option<Date>,
}

impl Edit {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// The text with the changes.
    ///
    /// # Errors
    /// The text is no TOML.
    pub fn apply(&self, text: &str) -> Result<String, TomlError> {
        let mut document: DocumentMut = text.parse()?;
        if let Some(entries) = document.get_mut("expect").and_then(Item::as_array_of_tables_mut) {
            for (index, outcome, code) in &self.change {
                if let Some(entry) = entries.get_mut(*index) {
                    change(entry, outcome, code.as_deref());
                }
            }
            let mut going = self.remove.clone();
            going.sort_unstable();
            for index in going.into_iter().rev() {
                remove(entries, index);
            }
        }
        let mut edited = document.to_string();
        let place = first_entry(&edited);
        let added: String = self.add.iter().map(NewEntry::text).collect();
        edited.insert_str(place, &added);
        Ok(edited)
    }
}

impl NewEntry {
    fn text(&self) -> String {
        let mut table = Table::new();
        table["when"] = value(&self.when);
        table["plans"] = value(Array::from_iter([&self.plan]));
        table["outcome"] = verdicts(&self.outcome);
        if let Some(code) = &self.code {
            table["code"] = value(code);
        }
        table["reason"] = value(format!("{UNREVIEWED}{}", self.found));
        if self.outcome.iter().any(|verdict| verdict.needs_issue()) {
            table["issue"] = value(UNREVIEWED.trim_end());
        }
        if let Some(expires) = self.expires {
            table["expires"] = value(expires.to_string());
        }
        format!("[[expect]]\n{table}\n")
    }
}

/// Takes the review's outcome in: a reason, an issue and a day in place of what was there.
///
/// # Errors
/// The text is no TOML.
pub fn reviewed(
    text: &str,
    index: usize,
    reason: &str,
    issue: Option<&str>,
    expires: Option<Date>,
) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let entries = document.get_mut("expect").and_then(Item::as_array_of_tables_mut);
    if let Some(entry) = entries.and_then(|entries| entries.get_mut(index)) {
        entry["reason"] = value(reason);
        if let Some(issue) = issue {
            entry["issue"] = value(issue);
        }
        if let Some(expires) = expires {
            entry["expires"] = value(expires.to_string());
        }
    }
    Ok(document.to_string())
}

fn change(entry: &mut Table, outcome: &[Verdict], code: Option<&str>) {
    entry["outcome"] = verdicts(outcome);
    match code {
        Some(code) => entry["code"] = value(code),
        None => {
            entry.remove("code");
        }
    }
    if !outcome.contains(&Verdict::Degraded) {
        entry.remove("tolerance");
    }
}

/// Removes an entry and leaves the comments above it to the next one.
fn remove(entries: &mut ArrayOfTables, index: usize) {
    let prefix = |table: &Table| {
        table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned()
    };
    let Some(above) = entries.get(index).map(prefix) else { return };
    entries.remove(index);
    if let Some(next) = entries.get_mut(index).filter(|_| above.contains('#')) {
        // The next one's own empty line separates it from the comment.
        let both = format!("{}{}", above.trim_end_matches('\n'), "\n".repeat(2))
            + prefix(next).trim_start_matches('\n');
        next.decor_mut().set_prefix(both);
    }
}

fn verdicts(outcome: &[Verdict]) -> Item {
    value(Array::from_iter(outcome.iter().map(|verdict| verdict.name())))
}

/// Where the first entry begins, with the comments that belong to it: behind the paragraph of the version.
fn first_entry(text: &str) -> usize {
    let version = text.lines().scan(0, |end, line| {
        *end += line.len() + 1;
        Some((line, *end))
    });
    let mut after = version.skip_while(|(line, _)| !line.trim_start().starts_with("version"));
    let end = after.find(|(line, _)| line.trim().is_empty() || line.trim_start().starts_with("version"));
    let end = end.map_or(text.len(), |(_, end)| end).min(text.len());
    // Behind the empty line below it, if there is one.
    if text[end..].starts_with('\n') { end + 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Head.\nversion = 1\n\n# First part.\n\n[[expect]]\nwhen = \"kv(a)\" # why\noutcome = [\"refused\"]\n\
                        code = \"x\"\nreason = \"r\"\n\n[[expect]]\nwhen = \"kv(b)\"\noutcome = [\"degraded\"]\n\
                        tolerance = { nmse = 0.1 }\nreason = \"r\"\n";

    fn entry() -> NewEntry {
        NewEntry {
            when: "kv(=c)".into(),
            plan: "pr".into(),
            outcome: vec![Verdict::Crashed],
            code: None,
            found: "it crashed".into(),
            expires: Some(Date::constant(2026, 12, 24)),
        }
    }

    #[test]
    fn what_is_not_edited_stays_as_it_is() {
        assert_eq!(Edit::default().apply(TEXT).expect("TOML"), TEXT);
        let edit = Edit { change: vec![(1, vec![Verdict::Refused], Some("y".into()))], ..Edit::default() };
        let edited = edit.apply(TEXT).expect("TOML");
        let expected = TEXT
            .replace("outcome = [\"degraded\"]", "outcome = [\"refused\"]")
            .replace("tolerance = { nmse = 0.1 }\nreason = \"r\"\n", "reason = \"r\"\ncode = \"y\"\n");
        assert_eq!(edited, expected);
    }

    #[test]
    fn an_entry_that_goes_leaves_the_comment_above_it() {
        let edited = Edit { remove: vec![0], ..Edit::default() }.apply(TEXT).expect("TOML");
        assert!(edited.contains("# First part.\n\n[[expect]]\nwhen = \"kv(b)\""), "{edited}");
        assert!(!edited.contains("kv(a)"), "{edited}");
    }

    #[test]
    fn a_new_entry_comes_first_and_is_marked_for_review() {
        let edited = Edit { add: vec![entry()], ..Edit::default() }.apply(TEXT).expect("TOML");
        let (before, after) = edited.split_once("[[expect]]").expect("an entry");
        assert_eq!(before, "# Head.\nversion = 1\n\n");
        assert!(
            after.trim_start().starts_with("when = \"kv(=c)\"\nplans = [\"pr\"]\noutcome = [\"crashed\"]\n"),
            "{edited}"
        );
        assert!(
            edited
                .contains("reason = \"REVIEW: it crashed\"\nissue = \"REVIEW:\"\nexpires = \"2026-12-24\"\n")
        );
        assert!(edited.ends_with(&TEXT[TEXT.find("# First part.").expect("there")..]), "{edited}");
    }

    #[test]
    fn a_file_without_entries_gets_its_first() {
        for text in ["version = 1\n", "version = 1", "# Only a head.\nversion = 1\n\n"] {
            let edited = Edit { add: vec![entry()], ..Edit::default() }.apply(text).expect("TOML");
            let file: super::super::ExpectationFile =
                toml::from_str(&edited).unwrap_or_else(|error| panic!("{error}\n{edited}"));
            assert_eq!(file.expect.len(), 1, "{edited}");
        }
    }

    #[test]
    fn a_review_puts_its_reason_in() {
        let edited = reviewed(TEXT, 1, "known loss", Some("#7"), None).expect("TOML");
        assert!(edited.contains("reason = \"known loss\"\nissue = \"#7\"\n"), "{edited}");
    }
}
