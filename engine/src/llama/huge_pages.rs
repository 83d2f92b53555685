//! Memory in huge pages, where the system has them and gives them to who asks: page by page, to touch a large buffer for the
//! first time takes several times as long as to fill it.

/// Bytes of a huge page, on most machines. Buffers of fewer bytes have none.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

/// A buffer of zeros, whose pages cost nothing until they are written.
pub(crate) fn zeroed(bytes: usize) -> Vec<u8> {
    #[cfg_attr(not(target_os = "linux"), expect(unused_mut, reason = "nothing is advised"))]
    let mut buffer = vec![0; bytes];
    #[cfg(target_os = "linux")]
    advise(&mut buffer);
    buffer
}

/// Gives a buffer this length, whatever it holds. One that is too short is replaced: to let it grow would copy what it held.
pub(crate) fn fit(buffer: &mut Vec<u8>, bytes: usize) {
    if buffer.capacity() < bytes {
        *buffer = zeroed(bytes);
    }
    buffer.resize(bytes, 0);
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "there is no safe form for memory that is there already")]
fn advise(buffer: &mut [u8]) {
    use rustix::mm::{Advice, madvise};

    let start = buffer.as_ptr().align_offset(HUGE_PAGE);
    let Some(whole) = buffer.len().checked_sub(start).map(|bytes| bytes / HUGE_PAGE * HUGE_PAGE) else {
        return;
    };
    let aligned = buffer[start..].as_mut_ptr();
    // SAFETY: the range is within the buffer, which is borrowed exclusively, and the advice changes no content.
    // Systems without huge pages refuse it, and nothing is lost.
    let _ = unsafe { madvise(aligned.cast(), whole, Advice::LinuxHugepage) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_all_sizes_are_zeros() {
        for bytes in [0, 1, 4096, 2 << 20, (4 << 20) + 1, 9 << 20] {
            assert!(zeroed(bytes) == vec![0; bytes], "{bytes}");
        }
    }
}
