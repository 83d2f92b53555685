//! The intact command: does a saved chat session come back intact?.

fn main() {}
