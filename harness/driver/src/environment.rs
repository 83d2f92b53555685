//! What a worker finds in its environment: what programs need to run and to compute, and not the tokens of whoever starts it.

use std::env;
use std::ffi::{OsStr, OsString};

/// Variables that every worker gets.
const NAMES: [&str; 34] = [
    // Where things are.
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TMP",
    "TEMP",
    "PWD",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    // How things are said.
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "NO_COLOR",
    "RUST_BACKTRACE",
    "RUST_LOG",
    // Languages that adapters are written in.
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUNBUFFERED",
    "NODE_PATH",
    "NODE_OPTIONS",
    // Windows.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
];

/// Beginnings of the names of variables that every worker gets: languages, libraries, what computes, and intact's own.
const BEGINNINGS: [&str; 21] = [
    "LC_",
    "LD_",
    "DYLD_",
    "CUDA_",
    "NVIDIA_",
    "HIP_",
    "ROCR_",
    "ROCM_",
    "HSA_",
    "GPU_",
    "VK_",
    "MTL_",
    "METAL_",
    "GGML_",
    "LLAMA_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "OPENBLAS_",
    "MKL_",
    "INTACT_",
];

/// Parts of names that say that the value is a secret, whatever the name begins with.
const SECRET: [&str; 8] = ["TOKEN", "SECRET", "PASS", "KEY", "CREDENTIAL", "AUTH", "COOKIE", "SIGNATURE"];

/// The variables of this process that every worker gets.
pub(super) fn usual() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, _)| is_usual(name))
}

fn is_usual(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let upper = name.to_ascii_uppercase();
    let begins = BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
    let known = NAMES.contains(&name) || cfg!(windows) && NAMES.contains(&upper.as_str());
    known || begins && !SECRET.iter().any(|part| upper.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_need_is_passed_on_and_what_opens_doors_is_not() {
        for name in
            ["PATH", "HOME", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "GGML_METAL", "INTACT_HOME"]
        {
            assert!(is_usual(OsStr::new(name)), "{name}");
        }
        for name in [
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SESSION_TOKEN",
            "GH_TOKEN",
            "GITHUB_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "CI_JOB_TOKEN",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "AZURE_CLIENT_SECRET",
            "OPENAI_API_KEY",
            "NPM_TOKEN",
            "SSH_AUTH_SOCK",
            "DATABASE_URL",
            "INTACT_PASSPHRASE",
            "LLAMA_API_KEY",
            "CUDA_PASSWORD",
            "PATHS",
            "path",
        ] {
            assert!(!is_usual(OsStr::new(name)), "{name}");
        }
    }
}
