//! What a library is for, read from its header before anything of it is run: the system's own words for a library of
//! another machine are "no such file or directory".

use std::fs::File;
use std::path::Path;

use object::{Architecture, BinaryFormat, Object, ObjectKind, ReadCache};

use crate::error::OpenError;

/// Looks whether a library can be opened here.
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    let unreadable = |reason: String| OpenError::NotALibrary { file: path.to_owned(), reason };
    // A pipe in its place would be waited for.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let cache = ReadCache::new(file);
    let library = object::File::parse(&cache).map_err(|error| unreadable(error.to_string()))?;
    if library.kind() != ObjectKind::Dynamic {
        return Err(unreadable(format!("it is {:?}", library.kind()).to_lowercase()));
    }
    let (found, here) = (described(library.format(), library.architecture()), described(FORMAT, HERE));
    if found != here {
        return Err(OpenError::OtherMachine { file: path.to_owned(), found, here });
    }
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    if let object::File::Elf64(elf) = &library {
        libc::check(path, elf)?;
    }
    Ok(())
}

const FORMAT: BinaryFormat = match () {
    () if cfg!(windows) => BinaryFormat::Pe,
    () if cfg!(target_vendor = "apple") => BinaryFormat::MachO,
    () => BinaryFormat::Elf,
};

const HERE: Architecture = match () {
    () if cfg!(target_arch = "x86_64") => Architecture::X86_64,
    () if cfg!(target_arch = "aarch64") => Architecture::Aarch64,
    () if cfg!(target_arch = "s390x") => Architecture::S390x,
    () if cfg!(target_arch = "riscv64") => Architecture::Riscv64,
    () => Architecture::Unknown,
};

fn described(format: BinaryFormat, architecture: Architecture) -> String {
    let system = match format {
        BinaryFormat::Elf => "Linux",
        BinaryFormat::MachO => "macOS",
        BinaryFormat::Pe => "Windows",
        _ => "another system",
    };
    format!("{system} on {architecture:?}").replace("X86_64", "x86-64").replace("Aarch64", "AArch64")
}

/// The C library that a library was built against.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod libc {
    use std::ffi::{CStr, c_char};
    use std::path::Path;

    use object::read::elf::{ElfFile64, FileHeader, SectionHeader};
    use object::{Endianness, ReadRef};

    use crate::error::OpenError;

    pub(super) fn check<'d, R: ReadRef<'d>>(
        path: &Path,
        elf: &ElfFile64<'d, Endianness, R>,
    ) -> Result<(), OpenError> {
        let (Some(needs), Some(have)) = (needed(elf), here()) else { return Ok(()) };
        if numbers(&needs) <= numbers(&have) {
            return Ok(());
        }
        let [needs, have] = [needs, have].map(|version| format!("glibc {version}"));
        Err(OpenError::NewerLibc { file: path.to_owned(), needs, have })
    }

    /// The newest version of glibc that symbols are asked of.
    fn needed<'d, R: ReadRef<'d>>(elf: &ElfFile64<'d, Endianness, R>) -> Option<String> {
        let (endian, data) = (elf.endian(), elf.data());
        let sections = elf.elf_header().sections(endian, data).ok()?;
        let mut newest: Option<String> = None;
        for section in sections.iter() {
            let Ok(Some((mut needs, strings))) = section.gnu_verneed(endian, data) else { continue };
            let strings = sections.strings(endian, data, strings).ok()?;
            while let Ok(Some((_, mut versions))) = needs.next() {
                while let Ok(Some(version)) = versions.next() {
                    let name =
                        version.name(endian, strings).ok().and_then(|name| std::str::from_utf8(name).ok());
                    let Some(version) = name.and_then(|name| name.strip_prefix("GLIBC_")) else { continue };
                    if newest.as_deref().is_none_or(|newest| numbers(newest) < numbers(version)) {
                        newest = Some(version.to_owned());
                    }
                }
            }
        }
        newest
    }

    fn here() -> Option<String> {
        let program = libloading::os::unix::Library::this();
        // SAFETY: glibc's function takes nothing, and returns a string that lives as long as the program.
        unsafe {
            let version =
                program.get::<unsafe extern "C" fn() -> *const c_char>(b"gnu_get_libc_version\0").ok()?;
            Some(CStr::from_ptr(version()).to_str().ok()?.to_owned())
        }
    }

    /// A version for comparison. Words, as in `PRIVATE`, are none.
    fn numbers(version: &str) -> Vec<u32> {
        version.split('.').map_while(|part| part.parse().ok()).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn versions_are_compared_by_number() {
            assert!(numbers("2.4") < numbers("2.34") && numbers("2.34") < numbers("2.36"));
            assert!(numbers("PRIVATE") < numbers("2.2.5"));
            assert!(here().is_some_and(|version| numbers(&version) >= numbers("2.17")));
        }
    }
}
