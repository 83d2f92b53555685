//! The catalogue as a chapter of the guide.

use super::{Entry, Kind};

const HEAD: &str = "\
# Every word, and what to do

This chapter is made by `intact explain --reference`, and a test holds it to what the command knows. `intact explain WORD`
prints the entry of a word, `intact explain CELL --from out` what became of a cell, and `intact explain FILE` what a session
depends on:

```console
$ intact explain image-missing
image-missing (refusal)
  the KV image is not there
  What to do: put the .kv file back beside the session file, or allow the route `reprefilled`
  To see it:  intact check SESSION.json --model MODEL.gguf --policy strict
$ intact explain imagemissing
? 96
...
  help: did you mean `image-missing`?
```
";

/// The whole chapter, in Markdown.
pub(crate) fn chapter(catalogue: &[Entry]) -> String {
    let mut text = HEAD.to_owned();
    for kind in Kind::ALL {
        text += &format!("\n## {}\n\n", kind.heading());
        for entry in catalogue.iter().filter(|entry| entry.kind == kind) {
            text += &of_entry(entry);
        }
    }
    text
}

fn of_entry(entry: &Entry) -> String {
    let mut text = format!("**{}**: {}.", entry.name, entry.meaning);
    for line in &entry.details {
        text += &format!(" {}.", capital(line));
    }
    if let Some(since) = &entry.since {
        text += &format!(" Since llama.cpp {since}.");
    }
    text += &format!(" *What to do:* {}.", entry.next);
    if let Some(example) = &entry.example {
        text += &format!(" *To see it:* `{example}`");
    }
    text + "\n\n"
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
