//! What a reader needs of a long build log.

/// Lines shown of a failed build.
const LINES: usize = 20;

/// The lines around the first errors, or the last lines where none is called one.
pub(super) fn essence(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let is_error = |line: &str| {
        let line = line.to_lowercase();
        line.contains("error:")
            || line.contains("error[")
            || line.contains("fatal error")
            || line.contains("*** [")
    };
    let near_error = |at: usize| {
        (at.saturating_sub(1)..=at + 2).any(|near| lines.get(near).is_some_and(|line| is_error(line)))
    };
    let chosen: Vec<&str> = (0..lines.len()).filter(|&at| near_error(at)).map(|at| lines[at]).collect();
    if chosen.is_empty() {
        return lines[lines.len().saturating_sub(LINES)..].join("\n");
    }
    chosen[..chosen.len().min(LINES)].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_error_is_found_under_pages_of_other_output() {
        let mut log = vec!["[ 12%] Building CXX object"; 300];
        log.insert(150, "llama-model.cpp:12:3: error: expected ';'");
        let essence = essence(&log.join("\n"));
        assert!(essence.contains("expected ';'"), "{essence}");
        assert!(essence.lines().count() <= 5, "{essence}");
    }

    #[test]
    fn without_a_word_of_errors_the_last_lines_are_shown() {
        let log = (0..100).map(|line| format!("line {line}\n")).collect::<String>();
        assert_eq!(essence(&log).lines().count(), LINES);
        assert!(essence(&log).ends_with("line 99"));
        assert_eq!(essence(""), "");
    }
}
