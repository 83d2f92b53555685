//! What systems are called where somebody reads of them who has never seen a filter.

/// A system's name in words. Ids, filters and files keep the name that the configuration gives it.
#[must_use]
pub fn called(name: &str) -> &str {
    match name {
        "engine" => "intact",
        "engine, adopting" => "intact, adopting",
        "blind" => "llama.cpp, unchecked",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_filters_know_are_told_in_words() {
        let names = ["engine", "engine, adopting", "blind", "node-llama-cpp@3.22.1"];
        let told = ["intact", "intact, adopting", "llama.cpp, unchecked", "node-llama-cpp@3.22.1"];
        assert_eq!(names.map(called), told);
    }
}
