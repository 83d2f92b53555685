//! The renderings of a run: what they say, and that they stay readable, valid and harmless.

mod browser;
mod keyboard;
mod page;
mod renderings;
mod sample;
