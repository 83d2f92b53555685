//! The renderings of a run: what they say, and that they stay readable, valid and harmless.

mod access;
mod browser;
mod compare;
mod compat;
mod forms;
mod keyboard;
mod page;
mod renderings;
mod sample;
mod scale;
mod speed;
mod systems;
