//! The reader: a cursor that knows how much of the file is left.

use std::collections::BTreeMap;
use std::io::Read;

use super::{Array, Gguf, GgufError, Tensor, TensorType, Value, ValueType};

const MAGIC: [u8; 4] = *b"GGUF";
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;
/// Fewest bytes of a key/value pair: key length, one byte of key, value type, one byte of value.
const SMALLEST_PAIR: u64 = 8 + 1 + 4 + 1;
/// Fewest bytes of a tensor's declaration: name length, number of dimensions, one dimension, type, offset.
const SMALLEST_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;
/// Most metadata keys and most tensors; the largest models have some hundreds and some ten thousand.
const MOST_ITEMS: u64 = 1 << 20;
/// Longest key or tensor name; the GGUF specification's limit for keys.
const LONGEST_NAME: u64 = 65_535;
/// Longest text that is held: far above any chat template.
const LONGEST_TEXT: u64 = 16 << 20;
const MOST_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

pub(super) fn gguf(source: impl Read, file_size: u64) -> Result<Gguf, GgufError> {
    let mut cursor = Cursor { source, offset: 0, file_size };
    let magic = cursor.array::<4>("the magic number")?;
    if magic != MAGIC {
        return Err(GgufError::NotGguf { found: magic });
    }
    let version = cursor.u32("the version")?;
    if VERSIONS.contains(&version.swap_bytes()) {
        return Err(GgufError::BigEndian);
    }
    if !VERSIONS.contains(&version) {
        return Err(GgufError::UnsupportedVersion { version });
    }
    let tensor_count = cursor.u64("the number of tensors")?;
    let pair_count = cursor.u64("the number of metadata keys")?;
    cursor.expect_left("metadata", pair_count, SMALLEST_PAIR)?;
    if pair_count.max(tensor_count) > MOST_ITEMS {
        return Err(cursor.malformed(format!("{pair_count} keys and {tensor_count} tensors are declared")));
    }

    let mut metadata = BTreeMap::new();
    for _ in 0..pair_count {
        let (key, value) = pair(&mut cursor)?;
        if metadata.contains_key(&key) {
            return Err(cursor.malformed(format!("the key `{key}` appears twice")));
        }
        metadata.insert(key, value);
    }
    cursor.expect_left("the list of tensors", tensor_count, SMALLEST_TENSOR)?;
    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        tensors.push(tensor(&mut cursor)?);
    }
    let alignment = alignment(&metadata, &cursor)?;
    let data_offset = cursor.offset.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    Ok(Gguf { version, metadata, tensors, data_offset, file_size })
}

fn pair<R: Read>(cursor: &mut Cursor<R>) -> Result<(String, Value), GgufError> {
    let key = cursor.text("a metadata key", LONGEST_NAME)?;
    let kind = cursor.value_type()?;
    let value = match kind {
        ValueType::Text => Value::Text(cursor.text("a metadata text", LONGEST_TEXT)?),
        ValueType::Array => Value::Array(array(cursor, &key)?),
        fixed => cursor.fixed(fixed)?,
    };
    Ok((key, value))
}

fn array<R: Read>(cursor: &mut Cursor<R>, key: &str) -> Result<Array, GgufError> {
    let element = cursor.value_type()?;
    let length = cursor.u64("the length of an array")?;
    let mut hasher = blake3::Hasher::new();
    let mut items = None;
    match element.width() {
        Some(width) if length <= Array::KEPT => {
            cursor.expect_left("an array", length, width)?;
            let mut kept = Vec::new();
            for _ in 0..length {
                let bytes = cursor.bytes("an array element", width)?;
                hasher.update(&bytes);
                kept.extend(element.decode(&bytes));
            }
            items = Some(kept);
        }
        Some(width) => {
            cursor.expect_left("an array", length, width)?;
            cursor.hash("an array", length * width, &mut hasher)?;
        }
        None if element == ValueType::Text => {
            cursor.expect_left("an array of texts", length, 8)?;
            for _ in 0..length {
                let bytes = cursor.array::<8>("the length of a text")?;
                hasher.update(&bytes);
                cursor.hash("a text", u64::from_le_bytes(bytes), &mut hasher)?;
            }
        }
        None => {
            return Err(cursor.malformed(format!("`{key}` is an array of arrays, which llama.cpp refuses")));
        }
    }
    Ok(Array { element, length, digest: *hasher.finalize().as_bytes(), items })
}

fn tensor<R: Read>(cursor: &mut Cursor<R>) -> Result<Tensor, GgufError> {
    let name = cursor.text("a tensor name", LONGEST_NAME)?;
    let dimensions = cursor.u32("the number of dimensions")?;
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        return Err(
            cursor.malformed(format!("tensor `{name}` has {dimensions} dimensions instead of 1 to 4"))
        );
    }
    let mut shape = Vec::new();
    let mut elements = 1_u64;
    for _ in 0..dimensions {
        let length = cursor.u64("a dimension")?;
        let product = elements.checked_mul(length).filter(|product| *product <= i64::MAX.unsigned_abs());
        elements = product
            .ok_or_else(|| cursor.malformed(format!("tensor `{name}` has more elements than can be")))?;
        shape.push(length);
    }
    let kind = TensorType(cursor.u32("a tensor type")?);
    let offset = cursor.u64("a tensor offset")?;
    Ok(Tensor { name, shape, kind, offset })
}

fn alignment<R>(metadata: &BTreeMap<String, Value>, cursor: &Cursor<R>) -> Result<u64, GgufError> {
    let declared = metadata.get("general.alignment").map_or(Some(DEFAULT_ALIGNMENT), Value::as_u64);
    declared
        .filter(|alignment| alignment.is_power_of_two())
        .ok_or_else(|| cursor.malformed("`general.alignment` is not a power of two".to_owned()))
}

struct Cursor<R> {
    source: R,
    offset: u64,
    file_size: u64,
}

impl<R> Cursor<R> {
    fn left(&self) -> u64 {
        self.file_size.saturating_sub(self.offset)
    }

    /// That `count` items of at least `width` bytes still fit into the file.
    fn expect_left(&self, what: &'static str, count: u64, width: u64) -> Result<(), GgufError> {
        let needed = count.saturating_mul(width);
        if needed > self.left() {
            return Err(GgufError::Truncated {
                what,
                offset: self.offset,
                needed,
                file_size: self.file_size,
            });
        }
        Ok(())
    }

    fn malformed(&self, problem: String) -> GgufError {
        GgufError::Malformed { offset: self.offset, problem }
    }
}

impl<R: Read> Cursor<R> {
    fn fill(&mut self, what: &'static str, buffer: &mut [u8]) -> Result<(), GgufError> {
        let needed = buffer.len() as u64;
        self.expect_left(what, needed, 1)?;
        self.source.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                GgufError::Truncated { what, offset: self.offset, needed, file_size: self.file_size }
            }
            _ => GgufError::Io(error),
        })?;
        self.offset += needed;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// `length` bytes that are held; the file has them, and the caller has bounded them.
    fn bytes(&mut self, what: &'static str, length: u64) -> Result<Vec<u8>, GgufError> {
        self.expect_left(what, length, 1)?;
        let length = usize::try_from(length).map_err(|_| self.malformed(format!("{what} is too long")))?;
        let mut bytes = vec![0; length];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    fn text(&mut self, what: &'static str, longest: u64) -> Result<String, GgufError> {
        let length = self.u64(what)?;
        self.expect_left(what, length, 1)?;
        if length > longest {
            return Err(self.malformed(format!("{what} of {length} bytes is longer than {longest}")));
        }
        let bytes = self.bytes(what, length)?;
        String::from_utf8(bytes).map_err(|_| self.malformed(format!("{what} is not UTF-8")))
    }

    fn value_type(&mut self) -> Result<ValueType, GgufError> {
        let number = self.u32("a value type")?;
        ValueType::from_number(number)
            .ok_or_else(|| self.malformed(format!("value type {number} is unknown")))
    }

    fn fixed(&mut self, kind: ValueType) -> Result<Value, GgufError> {
        let bytes = self.bytes("a metadata value", kind.width().unwrap_or(0))?;
        kind.decode(&bytes).ok_or_else(|| self.malformed("a value that is not a number".to_owned()))
    }

    fn hash(
        &mut self,
        what: &'static str,
        length: u64,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), GgufError> {
        self.expect_left(what, length, 1)?;
        let mut buffer = [0_u8; 4096];
        let mut left = length;
        while left > 0 {
            let step = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            self.fill(what, &mut buffer[..step])?;
            hasher.update(&buffer[..step]);
            left -= step as u64;
        }
        Ok(())
    }
}
