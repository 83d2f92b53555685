//! The machine that a run is made on.

use intact_format::regular;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::parallel::cores;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// Processor model, where the system tells.
    pub cpu: Option<String>,
    /// Logical processors.
    pub cores: u32,
}

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

fn cpu() -> Option<String> {
    let text = regular::read_text("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}
