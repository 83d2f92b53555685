//! A session in memory, for tests, for measuring what a place costs, and on its way from one place to another.

use std::collections::BTreeMap;
use std::io;

use super::{Committed, PlaceError, SessionSink, SessionSource};
use crate::image::{Chunk, ChunkId, ImageReference};
use crate::route::RefusalCode;

/// A session in memory. It hands out whatever is in it, right or wrong: who reads hashes what it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The document; empty before the first commit.
    pub document: Vec<u8>,
    /// The chunks, also those that no document refers to any more.
    pub chunks: BTreeMap<ChunkId, Vec<u8>>,
}

impl SessionSink for Memory {
    fn holds(&mut self, id: ChunkId, bytes: u64) -> Result<bool, PlaceError> {
        Ok(self.chunks.get(&id).is_some_and(|payload| payload.len() as u64 == bytes))
    }

    fn put(&mut self, chunk: &Chunk<'_>) -> Result<u64, PlaceError> {
        let (id, bytes) = chunk.entry();
        if self.holds(id, bytes)? {
            return Ok(0);
        }
        self.chunks.insert(id, chunk.payload().to_vec());
        Ok(bytes)
    }

    fn commit(&mut self, document: &[u8], image: Option<&ImageReference>) -> Result<Committed, PlaceError> {
        image.map_or(Ok(()), |image| self.locate(image))?;
        self.document = document.to_vec();
        Ok(Committed { bytes: document.len() as u64, remark: None })
    }
}

impl SessionSource for Memory {
    fn document(&mut self) -> Result<Vec<u8>, PlaceError> {
        if self.document.is_empty() {
            return Err(absent(RefusalCode::FileNotFound, "no session was saved here"));
        }
        Ok(self.document.clone())
    }

    fn locate(&mut self, image: &ImageReference) -> Result<(), PlaceError> {
        let is_here = |id: &ChunkId, bytes: u64| {
            self.chunks.get(id).is_some_and(|payload| payload.len() as u64 == bytes)
        };
        match image.chunk_ids().find(|(id, bytes)| !is_here(id, *bytes)) {
            None => Ok(()),
            Some((id, _)) => Err(missing(id)),
        }
    }

    fn read(&self, id: ChunkId, payload: &mut [u8]) -> Result<(), PlaceError> {
        let held = self.chunks.get(&id).filter(|held| held.len() == payload.len());
        payload.copy_from_slice(held.ok_or_else(|| missing(id))?);
        Ok(())
    }
}

fn missing(id: ChunkId) -> PlaceError {
    absent(RefusalCode::ImageMissing, &format!("chunk {id} is not here, or has another length"))
}

fn absent(code: RefusalCode, message: &str) -> PlaceError {
    PlaceError::new(Some(code), io::Error::new(io::ErrorKind::NotFound, message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_missing_and_a_document_that_needs_it_is_not_taken() {
        let chunk = Chunk::new(b"kv".as_slice());
        let image = ImageReference::opaque([chunk.entry()], "a test");
        let mut memory = Memory::default();
        assert_eq!(memory.document().unwrap_err().code, Some(RefusalCode::FileNotFound));
        assert_eq!(memory.commit(b"{}", Some(&image)).unwrap_err().code, Some(RefusalCode::ImageMissing));
        assert_eq!(memory.put(&chunk).unwrap(), 2);
        assert_eq!(memory.put(&chunk).unwrap(), 0, "it is there already");
        memory.commit(b"{}", Some(&image)).unwrap();
        let mut payload = [0; 2];
        memory.read(chunk.id(), &mut payload).unwrap();
        assert_eq!((memory.document().unwrap().as_slice(), &payload), (b"{}".as_slice(), b"kv"));
        assert_eq!(memory.read(chunk.id(), &mut [0; 3]).unwrap_err().code, Some(RefusalCode::ImageMissing));
    }
}
