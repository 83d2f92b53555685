//! Live sessions.

mod chat;
mod live;
mod memory;
mod streamed_text;
mod timeline;
mod turn;

pub use chat::{Chat, Prompt};
pub use live::{Finish, Generation, Reply, Session};
pub use memory::Memory;
pub use timeline::Timeline;
