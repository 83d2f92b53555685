//! KV state: layouts, images, sidecars.

mod conversions;
mod files;
mod gathering;
mod generated;
mod images;
mod layouts;
mod sidecars;
mod specimens;
mod transcoding;
