//! What a library writes where its defaults are asked for, byte by byte.

use std::ffi::c_void;
use std::fmt::Write as _;

use crate::params::{Blob, PARAMS};

/// What a function that returns a struct wrote.
#[derive(Debug)]
pub(crate) struct Probe {
    bytes: Vec<u8>,
    /// Padding may stay as it was.
    written: Vec<bool>,
}

/// Where the result of a function goes is filled with these in turn: a byte that is the same afterwards was written.
const POISONS: [u8; 2] = [0xA5, 0x5A];

impl Probe {
    /// Calls a function that returns a struct.
    ///
    /// # Safety
    /// The address is that of a C function that takes nothing and returns a struct of more than 16 bytes.
    pub(crate) unsafe fn of(function: *const c_void) -> Self {
        let [one, other] = POISONS.map(|poison| {
            let mut blob = Blob([poison; PARAMS]);
            // SAFETY: as the caller promises; the blob is larger than any such struct has been, by far.
            unsafe { returning(function, &mut blob) };
            blob.0
        });
        let written: Vec<bool> = one.iter().zip(&other).map(|(one, other)| one == other).collect();
        let length = written.iter().rposition(|&written| written).map_or(0, |last| last + 1);
        Self { bytes: one[..length].to_vec(), written: written[..length].to_vec() }
    }

    /// Bytes up to the last that was written.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_written(&self, at: usize) -> bool {
        self.written.get(at).copied().unwrap_or(false)
    }

    /// Some of the bytes; fewer where fewer are there.
    pub(crate) fn bytes(&self, at: usize, count: usize) -> &[u8] {
        let end = (at + count).min(self.bytes.len());
        self.bytes.get(at..end).unwrap_or_default()
    }

    /// The struct, zeros where nothing was written.
    pub(crate) fn blob(&self) -> Blob<PARAMS> {
        let mut blob = Blob([0; PARAMS]);
        for (at, place) in blob.0.iter_mut().enumerate().take(self.length()) {
            *place = if self.is_written(at) { self.bytes[at] } else { 0 };
        }
        blob
    }

    /// In hexadecimal, 8 bytes a group, `..` where nothing was written.
    pub(crate) fn dump(&self) -> String {
        let mut text = String::new();
        for (at, byte) in self.bytes.iter().enumerate() {
            if at > 0 && at % 8 == 0 {
                text.push(if at % 32 == 0 { '\n' } else { ' ' });
            }
            if self.is_written(at) {
                let _ = write!(text, "{byte:02x}");
            } else {
                text.push_str("..");
            }
        }
        text
    }

    #[cfg(test)]
    pub(crate) fn of_bytes(bytes: &[Option<u8>]) -> Self {
        let length = bytes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let bytes = &bytes[..length];
        Self {
            bytes: bytes.iter().map(|byte| byte.unwrap_or(0xA5)).collect(),
            written: bytes.iter().map(Option::is_some).collect(),
        }
    }
}

/// Calls a function that returns a large struct, with a place for the result that is chosen here.
///
/// # Safety
/// As [`Probe::of`].
#[cfg(not(target_arch = "aarch64"))]
unsafe fn returning(function: *const c_void, into: &mut Blob<PARAMS>) {
    // The calling conventions of x86-64, System V's and Windows', hand over the place as a first argument.
    // SAFETY: the place lives during the call, and is what this convention expects in its first argument.
    unsafe {
        let function: unsafe extern "C" fn(*mut Blob<PARAMS>) -> *mut c_void = std::mem::transmute(function);
        function(into);
    }
}

/// # Safety
/// As [`Probe::of`].
#[cfg(target_arch = "aarch64")]
unsafe fn returning(function: *const c_void, into: &mut Blob<PARAMS>) {
    // AAPCS64 hands over the place of a result in x8.
    // SAFETY: the function is called as its convention says, and whatever it may change is given up.
    unsafe {
        std::arch::asm!(
            "blr {function}",
            function = in(reg) function,
            inout("x8") std::ptr::from_mut(into) => _,
            clobber_abi("C"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Example {
        number: u64,
        flag: u8,
        half: u32,
        last: [u8; 9],
    }

    extern "C" fn example() -> Example {
        Example { number: 0x0102_0304_0506_0708, flag: 1, half: 0xAABB_CCDD, last: [7; 9] }
    }

    #[test]
    fn a_struct_is_read_as_its_function_returns_it() {
        // SAFETY: the function returns a struct of 32 bytes.
        let probe = unsafe { Probe::of(example as *const c_void) };
        assert!(probe.length() >= 25 && probe.length() <= 32, "{}", probe.length());
        assert_eq!(probe.bytes(0, 8), 0x0102_0304_0506_0708_u64.to_ne_bytes());
        assert_eq!(probe.bytes(12, 4), 0xAABB_CCDD_u32.to_ne_bytes());
        assert!(probe.is_written(24) && !probe.is_written(32));
        assert_eq!(&probe.blob().0[16..25], [7; 9]);
    }
}
