//! The page's styles and scripts, one text each. They stand in the page, so that it needs nothing but itself.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(include_str!(concat!("../../../templates/report/", $name))),*]
    };
}

const STYLES: [&str; 7] = templates![
    "colours.css",
    "frame.css",
    "answers.css",
    "matrix.css",
    "drawer.css",
    "performance.css",
    "print.css"
];

/// Every file is one thing with a capital name; a file uses only the ones before it, the last puts the page together.
const SCRIPTS: [&str; 15] = templates![
    "element.js",
    "packed.js",
    "filter.js",
    "cells.js",
    "address.js",
    "theme.js",
    "tabs.js",
    "plot.js",
    "grid.js",
    "list.js",
    "drawer.js",
    "tools.js",
    "compare.js",
    "print.js",
    "page.js",
];

pub(super) fn style() -> String {
    STYLES.concat()
}

pub(super) fn script() -> String {
    SCRIPTS.concat()
}

/// What a browser may do for this page: run this one script, and nothing from anywhere else. Markup that got into the page
/// all the same could not run anything.
pub(crate) fn policy(script: &str) -> String {
    let mut policy = String::from("default-src 'none'; style-src 'unsafe-inline'; img-src data:; ");
    let _ = write!(policy, "script-src 'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
    policy
}
