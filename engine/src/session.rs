//! Live sessions.

mod memory;
mod timeline;

pub use memory::Memory;
pub use timeline::Timeline;
