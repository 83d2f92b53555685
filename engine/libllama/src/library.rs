//! The one library that a process has open.

use std::ffi::{CStr, CString, OsStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::error::OpenError;
use crate::file;
use crate::folder::{EXAMPLE_BACKEND, Folder};
use crate::layout::{Fit, LAYOUTS, Struct};
use crate::params::Form;
use crate::probe::Probe;
use crate::sampling;
use crate::symbols::{Functions, address};

static LIBRARY: OnceLock<Library> = OnceLock::new();

/// How a library is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The backends that are loaded, by name: `cpu-haswell`. None for those that the library chooses for this machine.
    pub backends: Option<Vec<String>>,
}

impl Options {
    /// Those of a library that may choose.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With these backends and no others. Two releases differ in the last bits of every number where they choose kernels for
    /// different processors, so one names them to compare releases.
    #[must_use]
    pub fn with_backends(mut self, names: Vec<String>) -> Self {
        self.backends = Some(names);
        self
    }
}

/// A library that is open. It stays so until the process ends.
pub struct Library {
    folder: Folder,
    stated: Option<String>,
    pub(crate) functions: Functions,
    pub(crate) model_params: Form,
    pub(crate) context_params: Form,
    pub(crate) penalties: Option<sampling::Form>,
}

impl Library {
    /// Where it came from.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The release that it says it is: `0.5.0`, or `b8390` from a build's number. Vendors change what they build, and some
    /// say nothing.
    #[must_use]
    pub fn stated_release(&self) -> Option<&str> {
        self.stated.as_deref()
    }

    /// The releases whose headers have the layout of its `llama_context_params`.
    #[must_use]
    pub fn layout(&self) -> String {
        self.context_params.layout.name()
    }

    /// Whether sequences can be told to share one cache or to have one each.
    #[must_use]
    pub fn has_kv_unified(&self) -> bool {
        self.context_params.has("kv_unified")
    }

    /// Whether LoRA adapters and control vectors can be applied.
    #[must_use]
    pub fn has_adapters(&self) -> bool {
        let Functions { set_adapters_lora, set_adapter_lora, clear_adapter_lora, .. } = &self.functions;
        self.functions.adapter_lora_init.is_some()
            && self.functions.set_adapter_cvec.is_some()
            && (set_adapters_lora.is_some() || (set_adapter_lora.is_some() && clear_adapter_lora.is_some()))
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Library")
            .field("folder", &self.folder)
            .field("stated", &self.stated)
            .finish_non_exhaustive()
    }
}

/// Opens the library in a folder, for the rest of the process.
///
/// # Errors
/// An [`OpenError`] that says what is wrong with which file. Nothing of it is used then, but its code may have run.
///
/// # Safety
/// What is opened is run: its constructors at once, its functions later. The folder must be one that the user means to run.
pub unsafe fn open(path: &Path, options: &Options) -> Result<&'static Library, OpenError> {
    if let Some(opened) = LIBRARY.get() {
        return Err(OpenError::Opened { folder: opened.folder.path().to_owned() });
    }
    // SAFETY: as the caller promises.
    let opened = unsafe { opened(Folder::of(path)?, options) }?;
    let mut new = false;
    let library = LIBRARY.get_or_init(|| {
        new = true;
        opened
    });
    if new { Ok(library) } else { Err(OpenError::Opened { folder: library.folder.path().to_owned() }) }
}

/// The library that is open.
///
/// # Panics
/// Where none is: whoever uses [`crate::sys`] has opened one before.
#[must_use]
pub fn library() -> &'static Library {
    LIBRARY.get().expect("a library that was opened before")
}

/// # Safety
/// As [`open`].
unsafe fn opened(folder: Folder, options: &Options) -> Result<Library, OpenError> {
    let mut libraries = Vec::new();
    for file in &folder.libraries {
        file::check(file)?;
        // SAFETY: as the caller promises.
        let library = unsafe { loaded(file) }?;
        libraries.insert(0, library);
    }
    #[cfg(target_os = "linux")]
    from_the_folder(&folder)?;
    let functions = Functions::of(&libraries, folder.llama())?;
    let model_params =
        form(&folder, &libraries, &LAYOUTS.model, "llama_model_params", "llama_model_default_params")?;
    let context_params =
        form(&folder, &libraries, &LAYOUTS.context, "llama_context_params", "llama_context_default_params")?;
    load_backends(&folder, &functions, options)?;
    let stated = stated(&functions, &libraries);
    let penalties = sampling::Form::of(&functions);
    // Nothing in this process may outlive its code.
    libraries.into_iter().for_each(std::mem::forget);
    Ok(Library { folder, stated, functions, model_params, context_params, penalties })
}

/// # Safety
/// As [`open`].
unsafe fn loaded(file: &Path) -> Result<libloading::Library, OpenError> {
    let failed = |error: libloading::Error| {
        // The error's own words are of the call; the system's are its source, or are in it.
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        OpenError::NotOpened { file: file.to_owned(), reason }
    };
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: as the caller promises.
        unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }.map(Into::into).map_err(failed)
    }
    #[cfg(not(unix))]
    // SAFETY: as the caller promises.
    unsafe {
        libloading::Library::new(file).map_err(failed)
    }
}

/// Looks whether the libraries that belong together came from one folder: one of the same name that was found elsewhere is of
/// another release, and nothing says so.
#[cfg(target_os = "linux")]
fn from_the_folder(folder: &Folder) -> Result<(), OpenError> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let strange =
        maps.lines().filter_map(|line| line.split_once('/')).map(|(_, path)| format!("/{path}")).find(
            |path| {
                let path = Path::new(path);
                let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
                let ours = name.starts_with("libggml") || name.starts_with("libllama");
                ours && path.parent().is_some_and(|parent| parent != folder.path())
            },
        );
    match strange {
        None => Ok(()),
        Some(found) => {
            Err(OpenError::FromElsewhere { found: PathBuf::from(found), folder: folder.path().to_owned() })
        }
    }
}

/// The layout of a struct, by what the function that gives its defaults writes.
fn form(
    folder: &Folder,
    libraries: &[libloading::Library],
    of: &'static Struct,
    which: &'static str,
    defaults: &str,
) -> Result<Form, OpenError> {
    let file = folder.llama().to_owned();
    let Some(function) = address(libraries, &[defaults]) else {
        return Err(OpenError::NoFunction { file, name: defaults.to_owned() });
    };
    // SAFETY: under this name llama.cpp declares a function that takes nothing and returns the struct, in every release.
    let probe = unsafe { Probe::of(function) };
    match of.fit(&probe) {
        Fit::One(layout) => Ok(Form::new(layout, &probe)),
        Fit::None(near) => Err(OpenError::UnknownLayout { file, which, dump: probe.dump(), near }),
        Fit::Several(rows) => Err(OpenError::Ambiguous { file, which, rows }),
    }
}

/// Loads the backends: those that are asked for, else those that the library finds in its folder. Older libraries have theirs
/// inside.
fn load_backends(folder: &Folder, functions: &Functions, options: &Options) -> Result<(), OpenError> {
    let c_path = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    let known = || folder.backends().collect::<Vec<_>>().join(", ");
    // SAFETY: the function takes nothing and returns a number.
    let devices = || functions.backend_dev_count.map(|count| unsafe { count() });
    for name in options.backends.iter().flatten() {
        let refused = |reason: &str| OpenError::Backend {
            name: name.clone(),
            reason: reason.to_owned(),
            known: known(),
        };
        let file = folder.backend(name).ok_or_else(|| refused("there is no such file"))?;
        file::check(file)?;
        let load = functions.backend_load.ok_or_else(|| refused("this release cannot choose"))?;
        let path = c_path(file);
        let before = devices();
        // SAFETY: the path is NUL-terminated and lives during the call.
        if unsafe { load(path.as_ptr()) }.is_null() {
            return Err(refused("it does not run on this processor, or finds no device"));
        }
        // One that finds none is loaded all the same, and the processor would compute in its place.
        if before.is_some() && devices() == before {
            return Err(refused("it finds no device here"));
        }
    }
    if options.backends.is_none()
        && let Some(load_all) = functions.backend_load_all_from_path
    {
        let path = c_path(folder.path());
        // SAFETY: the path is NUL-terminated and lives during the call.
        unsafe { load_all(path.as_ptr()) };
    }
    if devices() == Some(0) {
        return Err(OpenError::NoBackend { folder: folder.path().to_owned(), example: EXAMPLE_BACKEND });
    }
    Ok(())
}

/// The release that a library says it is.
fn stated(functions: &Functions, libraries: &[libloading::Library]) -> Option<String> {
    if let Some(version) = functions.version {
        // SAFETY: the function takes nothing, and returns a string that lives as long as the library.
        let text = unsafe { copied(version()) };
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            return Some(text);
        }
    }
    let number = address(libraries, &["LLAMA_BUILD_NUMBER"])?.cast::<i32>();
    // SAFETY: under this name llama.cpp exports an `int`, in every release that has it.
    let number = unsafe { number.read_unaligned() };
    (number > 0).then(|| format!("b{number}"))
}

/// # Safety
/// The pointer is null or one to a C string.
unsafe fn copied(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
