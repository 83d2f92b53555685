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

/// What to say of a name that is not known: the nearest, or all that are.
#[must_use]
pub fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.len() == 1 => format!("there is {}", known.join("")),
        None => format!("there are {}", known.join(", ")),
    }
}

/// Insertions, deletions, substitutions, and neighbours that changed places (optimal string alignment).
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let same = left[i - 1] == right[j - 1];
            let mut least =
                (rows[i - 1][j - 1] + usize::from(!same)).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
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
            ("fualt", Some("fault")),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name}");
        }
        assert_eq!(nearest("rnu", &["run", "key", "init"]), Some("run"));
        assert_eq!(hint("modle", &known), "did you mean `model`?");
        assert_eq!(hint("temperature", &known), "there are reader_kv, model, fault");
        assert_eq!(hint("temperature", &["fault"]), "there is fault");
    }
}
