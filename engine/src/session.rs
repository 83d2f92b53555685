//! Live sessions.

mod chat;
mod live;
mod memory;
mod timeline;

pub use chat::Chat;
pub use live::{Finish, Generation, Reply, Session};
pub use memory::Memory;
pub use timeline::Timeline;
