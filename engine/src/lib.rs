//! Chat sessions over llama.cpp that are saved, restored, verified, or refused with a reason.

pub mod llama;
pub mod session;
