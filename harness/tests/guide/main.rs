//! The user guide does what it says: every command in it is run, in order, and prints what stands below it.
//!
//! A chapter is played in the project that `intact init --example` makes. Its blocks of the language `console` hold commands behind `$ ` (and
//! `> ` where a text goes on), the output that follows, and `? N` where a command does not end with 0. In outputs, `[..]` stands for anything in a line and a
//! line `...` for any lines. `INTACT_GUIDE=show` prints what commands say in place of comparing.

mod project;

use std::fs;
use std::path::Path;

use project::Project;
use snapbox::assert::Assert;

/// Where the guide is.
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

/// A command of a chapter, and what it must say.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    command: String,
    code: i32,
    output: String,
}

impl Step {
    /// Whether a line belongs to the command: a shell shows `>` while a text that follows `<<` goes on.
    fn is_continued_by(&self, line: &str) -> bool {
        self.command.contains("<<") && (line == ">" || line.starts_with("> "))
    }
}

/// The commands of a chapter.
fn steps(chapter: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in chapter.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            line => match (line.strip_prefix("$ "), line.strip_prefix("? "), steps.last_mut()) {
                (Some(command), ..) => {
                    let command = command.to_owned();
                    steps.push(Step { line: number + 1, command, code: 0, output: String::new() });
                }
                (None, None, Some(step)) if step.output.is_empty() && step.is_continued_by(line) => {
                    step.command +=
                        line.strip_prefix("> ").map_or("\n".to_owned(), |line| format!("\n{line}")).as_str();
                }
                (None, Some(code), Some(step)) => step.code = code.parse().expect("an exit code"),
                (None, None, Some(step)) => step.output += &format!("{line}\n"),
                (None, _, None) => panic!("line {}: output before the first command", number + 1),
            },
        }
    }
    steps
}

fn play(chapter: &str) {
    let path = Path::new(DOCS).join("src").join(chapter);
    let steps =
        steps(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    assert!(!steps.is_empty(), "{chapter} has no commands");
    let project = Project::new();
    for Step { line, command, code, output } in steps {
        let mut shell = project.command("sh");
        shell.args(["-c", &format!("exec 2>&1\n{command}")]);
        let ended = shell.output().expect("a shell");
        let said = String::from_utf8(ended.stdout).expect("UTF-8");
        if std::env::var_os("INTACT_GUIDE").is_some() {
            println!("$ {command}\n? {:?}\n{said}", ended.status.code());
            continue;
        }
        let place = format!("{}:{line}: {command}", path.display());
        assert_eq!(ended.status.code(), Some(code), "{place}\n{said}");
        if let Err(difference) = Assert::new().try_eq(Some(&place), said.into(), output.into()) {
            panic!("{place}\n{difference}");
        }
    }
}

/// A test for each chapter.
macro_rules! chapters {
    ($($chapter:ident),* $(,)?) => {
        $(#[test] fn $chapter() { play(concat!(stringify!($chapter), ".md")); })*

        #[test]
        fn every_chapter_is_in_the_summary_and_played() {
            let summary = fs::read_to_string(Path::new(DOCS).join("src/SUMMARY.md")).expect("a summary");
            let listed: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
            let played = [$(concat!(stringify!($chapter), ".md")),*];
            assert_eq!(listed, [&["README.md"][..], &played].concat());
            let files = fs::read_dir(Path::new(DOCS).join("src")).expect("a folder").count();
            assert_eq!(files, listed.len() + 1, "every file is a chapter or the summary");
        }
    };
}

chapters![gate, report, expectations, adapters, performance, machines, noise, releases, reference];

#[test]
fn outputs_that_differ_are_found() {
    let told = |said: &str, expected: &str| {
        Assert::new().try_eq(None, said.to_owned().into(), expected.to_owned().into()).is_ok()
    };
    assert!(told("a 12 b\nc\nd\n", "a [..] b\n...\nd\n"));
    assert!(!told("a 12 b\nc\nd\n", "a [..] b\nd\n"));
    assert_eq!(steps("```console\n$ x\n? 5\na\n```\nb\n")[0].output, "a\n");
}
