//! Live sessions: chatting, saving, loading, and refusing, in one process.

mod chatting;
mod damage;
mod growing;
mod keeping;
mod places;
mod routes;
mod saving;
mod support;
