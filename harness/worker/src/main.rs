//! The intact engine behind the worker protocol.

fn main() {}
