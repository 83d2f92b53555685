//! `intact filters`: the filter language, explained and tried.

use clap::Args;

use super::Failure;
use crate::exit::Exit;
use crate::filter::Filter;

/// Explain the filter language, or try a filter
///
/// Cells are selected by what they are. One language serves `--filter`, intact.toml, expectations.toml and the report.
#[derive(Debug, Args)]
#[command(after_long_help = LANGUAGE)]
pub(super) struct Filters {
    /// A filter to try: prints how it is understood
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

const LANGUAGE: &str = "\
Predicates:
  model(llama)          the dimension `model` has this value; every axis of intact.toml is a dimension,
                        and so are subject, family, writer, reader and crossing; of subjects, `engine` is
                        intact, and `blind` is llama.cpp's own path without checks
  id(...)  plan(...)    the cell's id; the plan that it is of
  verdict(...)  route(...)
                        of a cell that has run
  changed()  changed(worse|better|other|new)
                        of a cell that has run, against a baseline
  all()  none()         every cell; no cell

In the parentheses, one or more of these with `|` between them:
  text  =text           is exactly this
  ~text                 contains this
  /regex/               matches this regular expression somewhere
  #glob                 matches this glob as a whole: * is any text, ? any character
  >=v  >v  <=v  <v      is such a version or release: 1.10 is above 1.9, b8816 above b999, 0.4.1 above every b

Combined with:
  &  and    both              |  or     either, weaker than &
  !  not    does not hold     ( )       grouping

A backslash takes ), | or itself literally. In a shell, put the filter in single quotes.

Examples:
  model(llama) & !fault(none)
  reader(>=b8816) & writer(<b8619) & kv(q8_0|q4_0)
  fault(#flipped-*) | fault(/^truncated-/)
  verdict(corrupt|crashed) & !subject(blind)";

impl Filters {
    pub(super) fn carry_out(self) -> Result<Exit, Failure> {
        match self.filter {
            None => println!("{LANGUAGE}"),
            Some(text) => {
                let read: Result<Filter, _> = text.parse();
                println!("{}", read.map_err(|error| Failure::setup(error).exit(Exit::BadFilter))?);
            }
        }
        Ok(Exit::Fine)
    }
}
