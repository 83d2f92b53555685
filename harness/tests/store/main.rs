//! `intact store`, by the command: in folders, on disks without room, under kill -9, and over S3.

mod commands;
mod desk;
#[cfg(target_os = "linux")]
mod disks;
mod faults;
mod hostile;
mod kills;
#[path = "../guide/project.rs"]
mod project;
mod s3;
mod sealed;
