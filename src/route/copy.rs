//! Projections that only pick fields, which nearly all do: the picked values' bytes are copied into a ready-made
//! frame of keys and constants. Money keeps its digits because nobody ever reads them.

use super::scan::{Cursor, Picked, Picks, ScanError, Slots};

/// A projection compiled to copying.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) picks: Picks,
    pub(super) root: Value,
}

/// Where a value of the payload comes from.
#[derive(Debug)]
pub(super) enum Value {
    /// The picked bytes.
    Pick(usize),
    /// The same JSON text for each record.
    Constant(Box<[u8]>),
    /// A new object: keys as they are written (quotes and colon included), and their values.
    Object(Vec<(Box<[u8]>, Value)>),
    /// How many items or characters the picked value has, 0 when it is absent.
    Length(usize),
    /// The picked string up to its first white space.
    FirstWord(usize),
}

/// Why a copied projection failed on a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CopyError {
    Scan(ScanError),
    /// `length` of something that has none.
    Length,
}

impl From<ScanError> for CopyError {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl Copied {
    /// The payload; `None` when the record has nothing of what it picks.
    pub(super) fn apply(&self, data: &[u8]) -> Result<Option<Vec<u8>>, CopyError> {
        let slots = self.picks.scan(data)?;
        // What is picked is nearly always less than the whole; the frame's own keys may add a little.
        let mut out = Vec::with_capacity(data.len() + 32);
        let written = self.root.write(&slots, &mut out)?;
        out.shrink_to_fit();
        Ok(written.then_some(out))
    }
}

impl Value {
    /// Writes the value; `false` when there is none, and then nothing is written.
    fn write(&self, slots: &Slots<'_>, out: &mut Vec<u8>) -> Result<bool, CopyError> {
        match self {
            Self::Pick(slot) => match slots[*slot] {
                Some(picked) => Ok(picked.write(out)?),
                None => Ok(false),
            },
            Self::Constant(text) => {
                out.extend_from_slice(text);
                Ok(true)
            }
            Self::Object(members) if members.is_empty() => {
                out.extend_from_slice(b"{}");
                Ok(true)
            }
            Self::Object(members) => {
                let mut kept = false;
                for (key, value) in members {
                    let mark = out.len();
                    out.push(if kept { b',' } else { b'{' });
                    out.extend_from_slice(key);
                    if value.write(slots, out)? {
                        kept = true;
                    } else {
                        out.truncate(mark);
                    }
                }
                if kept {
                    out.push(b'}');
                }
                Ok(kept)
            }
            Self::Length(slot) => {
                let length = slots[*slot].map_or(Ok(0), length)?;
                out.extend_from_slice(length.to_string().as_bytes());
                Ok(true)
            }
            Self::FirstWord(slot) => {
                let text = slots[*slot].and_then(Picked::text);
                let Some(word) = text.as_deref().map(first_word) else { return Ok(false) };
                // A `&str` always serializes into a vector.
                Ok(serde_json::to_writer(out, word).is_ok())
            }
        }
    }
}

/// A text up to its first white space, that at its beginning aside; empty when there is nothing else.
pub(super) fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

fn length(picked: Picked<'_>) -> Result<usize, CopyError> {
    let mut cursor = Cursor::new(picked.raw);
    let mut count = 0;
    match picked.raw.first() {
        Some(b'"') => return picked.text().map(|text| text.chars().count()).ok_or(CopyError::Length),
        Some(b'[') if cursor.take(b'[') => cursor.items::<ScanError>(b']', |cursor| {
            count += 1;
            cursor.skip()
        })?,
        Some(b'{') if cursor.take(b'{') => cursor.items::<ScanError>(b'}', |cursor| {
            count += 1;
            cursor.key()?;
            cursor.skip()
        })?,
        _ => return Err(CopyError::Length),
    }
    Ok(count)
}
