//! Tells the worker's sources that a library is opened at run time.

fn main() {
    println!("cargo::rustc-cfg=llama_loaded");
}
