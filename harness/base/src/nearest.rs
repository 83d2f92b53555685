//! The nearest of the known names, for messages about a name that is not known.

/// The known name that is so near to `name` that it was probably meant.
#[must_use]
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = known
        .iter()
        .map(|candidate| (edit_distance(name, candidate), *candidate))
        .min_by_key(|(far, _)| *far)?;
    (distance <= name.chars().count().max(3) / 2).then_some(best)
}

/// Insertions, deletions and substitutions between two names (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_name_and_a_stranger_finds_none() {
        let known = ["reader_kv", "model", "fault"];
        for (name, expected) in [
            ("reader-kv", Some("reader_kv")),
            ("modle", Some("model")),
            ("faults", Some("fault")),
            ("temperature", None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
    }
}
