//! Opens the library in a folder and prints what it is: `survey FOLDER [BACKEND]`.
#![expect(unsafe_code, reason = "it runs what it opens")]

use std::path::Path;

use intact_libllama::{Options, open};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder");
    let options = arguments.next().map_or_else(Options::new, |name| Options::new().with_backends(vec![name]));
    // SAFETY: the caller names the folder.
    match unsafe { open(Path::new(&folder), &options) } {
        Ok(library) => println!(
            "{} layout {} adapters {} unified {}",
            library.stated_release().unwrap_or("says nothing"),
            library.layout(),
            library.has_adapters(),
            library.has_kv_unified(),
        ),
        Err(error) => println!("{error}"),
    }
}
