//! Any text as a configuration.
#![no_main]

use std::path::Path;

use intact_matrix::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(config) = Config::parse(text, Path::new("intact.toml")) {
        let _names = config.dimensions();
    }
});
