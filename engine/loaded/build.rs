//! Tells the engine's sources that no llama.cpp is linked: `intact-libllama` offers today's form of every call, whatever the
//! library that is opened has.

/// What the engine's own build script decides by the release that it is linked with.
const OFFERED: [&str; 9] = [
    "llama_loaded",
    "llama_raw",
    "llama_kv_unified",
    "llama_flash_attn_type",
    "llama_state_seq_ext",
    "llama_model_is_hybrid",
    "llama_set_adapters",
    "llama_load_mode",
    "llama_penalties_n_vocab",
];

fn main() {
    for name in OFFERED {
        println!("cargo::rustc-check-cfg=cfg({name})");
        println!("cargo::rustc-cfg={name}");
    }
}
