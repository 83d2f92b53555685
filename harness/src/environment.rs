//! The machine that a run is made on.

use std::fs;
use std::num::NonZero;
use std::thread;

use crate::results::Environment;

/// Describes this machine.
#[must_use]
pub fn here() -> Environment {
    Environment {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu: cpu(),
        cores: u32::try_from(cores()).unwrap_or(u32::MAX),
    }
}

/// Logical processors that this process may use.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}
