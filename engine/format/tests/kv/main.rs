//! KV state: layouts, images, sidecars.

mod conversions;
mod gathering;
mod generated;
mod images;
mod layouts;
mod sidecars;
mod transcoding;
