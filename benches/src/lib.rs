//! Criterion benches of the restore path.
