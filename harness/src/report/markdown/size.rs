//! Markdown within a hard limit: whole lines from the top, and a note of what was left out.

/// Bytes that GitHub takes as the summary of one step; of more, it shows nothing at all.
pub(super) const STEP_SUMMARY: usize = 1 << 20;
/// Bytes kept for the note.
const NOTE: usize = 2_048;

/// Joins the parts, and cuts them at the end of a line where they are longer than the limit.
pub(super) fn within(limit: usize, parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    let whole = parts.join("\n");
    if whole.len() <= limit {
        return whole;
    }
    let room = limit.saturating_sub(NOTE);
    let mut out = String::new();
    let mut left_out: Vec<&str> = Vec::new();
    for part in &parts {
        let separator = if out.is_empty() { "" } else { "\n" };
        if left_out.is_empty() && out.len() + separator.len() + part.len() <= room {
            out.push_str(separator);
            out.push_str(part);
            continue;
        }
        if left_out.is_empty() {
            out.push_str(separator);
            for line in part.split_inclusive('\n') {
                if out.len() + line.len() > room {
                    break;
                }
                out.push_str(line);
            }
        }
        left_out.push(title(part));
    }
    let mut note = format!("\n**Cut at {limit} bytes.** Not all is here of: {}", left_out.join(", "));
    while note.len() > NOTE - 100 {
        note.pop();
    }
    out + &note + ". It is in `report.html` and `results.json`.\n"
}

/// The heading of a part.
fn title(part: &str) -> &str {
    part.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_left_as_it_is() {
        let parts = ["# One\n", "## Two\n"].map(str::to_owned);
        assert_eq!(within(100, parts.into_iter()), "# One\n\n## Two\n");
    }

    #[test]
    fn what_does_not_fit_is_cut_at_a_line_and_named() {
        let long = format!("## Long\n\n{}", "- a line of it\n".repeat(1_000));
        let parts = ["# First\n".to_owned(), long, "## Last\n\nwords\n".to_owned()];
        let cut = within(4_096, parts.into_iter());
        assert!(cut.len() <= 4_096, "{}", cut.len());
        assert!(cut.starts_with("# First\n\n## Long\n\n- a line of it\n"), "{cut}");
        assert!(
            cut.ends_with("Not all is here of: Long, Last. It is in `report.html` and `results.json`.\n"),
            "{cut}"
        );
        assert!(cut.lines().all(|line| !line.starts_with("- ") || line == "- a line of it"), "{cut}");
    }

    #[test]
    fn one_line_that_is_longer_than_the_limit_is_left_out() {
        let parts = ["# First\n".to_owned(), format!("## Wide\n{}\n", "é".repeat(10_000))];
        let cut = within(4_096, parts.into_iter());
        assert!(cut.len() <= 4_096 && cut.contains("Wide"), "{cut}");
    }
}
