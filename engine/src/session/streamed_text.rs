//! Bytes of tokens on their way to whole characters.

/// Text that comes in bytes.
pub(super) struct StreamedText {
    text: String,
    rest: Vec<u8>,
}

impl StreamedText {
    pub(super) fn new() -> Self {
        Self { text: String::new(), rest: Vec::new() }
    }

    /// Adds bytes. What they complete is told: characters, and replacements for what can be part of none.
    pub(super) fn add(&mut self, bytes: &[u8], on_text: &mut dyn FnMut(&str)) {
        self.rest.extend_from_slice(bytes);
        let mut whole = 0;
        for chunk in self.rest.utf8_chunks() {
            let invalid = chunk.invalid();
            whole += chunk.valid().len();
            // The last characters may still be completed.
            let unfinished = whole + invalid.len() == self.rest.len()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if !unfinished {
                whole += invalid.len();
            }
        }
        let piece = String::from_utf8_lossy(&self.rest[..whole]).into_owned();
        self.rest.drain(..whole);
        self.tell(&piece, on_text);
    }

    /// The whole text; what is unfinished is replaced.
    pub(super) fn finish(mut self, on_text: &mut dyn FnMut(&str)) -> String {
        let piece = String::from_utf8_lossy(&self.rest).into_owned();
        self.tell(&piece, on_text);
        self.text
    }

    fn tell(&mut self, piece: &str, on_text: &mut dyn FnMut(&str)) {
        if !piece.is_empty() {
            on_text(piece);
            self.text.push_str(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::StreamedText;

    fn streamed(pieces: &[&[u8]]) -> (String, Vec<String>) {
        let mut told = Vec::new();
        let mut text = StreamedText::new();
        for piece in pieces {
            text.add(piece, &mut |piece| told.push(piece.to_owned()));
        }
        (text.finish(&mut |_| {}), told)
    }

    #[test]
    fn a_byte_that_is_no_text_does_not_take_the_character_behind_it() {
        let (text, told) = streamed(&[b"\xff\xe2\x82", b"\xac"]);
        assert_eq!(text, "\u{fffd}€");
        assert_eq!(told, ["\u{fffd}", "€"]);
    }

    #[test]
    fn an_unfinished_character_waits_and_is_replaced_at_the_end() {
        let (text, told) = streamed(&[b"a\xe2", b"\x82"]);
        assert_eq!((text.as_str(), told), ("a\u{fffd}", vec!["a".to_owned()]));
    }

    proptest! {
        #[test]
        fn however_bytes_are_cut_they_give_the_same_text(
            bytes in prop::collection::vec(prop::sample::select(vec![0x41, 0xe2, 0x82, 0xac, 0xff, 0xf0, 0x9f]), 0..24),
            cut in 1..5_usize,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(streamed(&pieces).0, String::from_utf8_lossy(&bytes));
        }
    }
}
