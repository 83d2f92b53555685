//! What points at a place is a place.

use super::{Committed, PlaceError, ReadParts, SessionSink, SessionSource};
use crate::image::{Chunk, ChunkId, ImageReference};

macro_rules! forwarded {
    ($($pointer:ty),+) => {$(
        impl<S: SessionSink + ?Sized> SessionSink for $pointer {
            fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
                (**self).holds(id, bytes)
            }

            fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
                (**self).put(chunk)
            }

            fn commit(
                &mut self,
                document: &[u8],
                image: Option<&ImageReference>,
            ) -> Result<Committed, PlaceError> {
                (**self).commit(document, image)
            }
        }

        impl<S: SessionSource + ?Sized> SessionSource for $pointer {
            fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
                (**self).document()
            }

            fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
                (**self).locate(image)
            }

            fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
                (**self).read(id, payload)
            }

            fn parts(&self) -> Option<&dyn ReadParts> {
                (**self).parts()
            }
        }
    )+};
}

forwarded!(Box<S>, &mut S);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::FileSource;

    #[test]
    fn a_pointer_to_a_place_reads_in_parts_where_the_place_does() {
        let mut file = FileSource::new("session.json");
        assert!(SessionSource::parts(&file).is_some());
        assert!(SessionSource::parts(&&mut file).is_some());
        let boxed: Box<dyn SessionSource> = Box::new(file);
        assert!(SessionSource::parts(&boxed).is_some());
    }
}
