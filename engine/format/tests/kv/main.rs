//! KV state: layouts, images, sidecars.

mod generated;
mod images;
mod layouts;
mod sidecars;
