//! Projections that are more than picking fields: a jq filter, run by jaq.
//!
//! Compiled once, run per record, without a clock, an environment, files or modules: the same record gives the same
//! payload on every node. Numbers that a filter passes on keep their digits. A panic inside of jaq is caught and is
//! an error of this one record.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jaq_core::load::{Arena, File, Loader};
use jaq_core::native::{bome, v};
use jaq_core::{Compiler, Ctx, Vars, data::JustLut};
use jaq_json::{Map, Num, Rc, Val};

use super::copy::first_word;
use super::scan::{Cursor, MAX_DEPTH, ScanError, text};

type Data = JustLut<Val>;

/// A compiled filter.
pub(super) struct Jq {
    filter: jaq_core::Filter<Data>,
}

impl std::fmt::Debug for Jq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jq")
    }
}

/// Why a filter failed on a record.
#[derive(Debug)]
pub(super) enum JqError {
    Scan(ScanError),
    /// The filter's own error. Its text may hold the record's data.
    Failed(String),
    /// More than one output.
    Several,
    /// The output is larger than this many bytes.
    TooLarge(usize),
    /// The output is no JSON: not a number, invalid text, an object key that is no string.
    NotJson,
    /// jaq panicked.
    Panicked,
}

impl From<ScanError> for JqError {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl Jq {
    /// Compiles a filter that was parsed before. Gives what is undefined in it, each with its place.
    pub(super) fn compile(code: &str) -> Result<Self, Vec<(usize, String)>> {
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let own = jaq_core::native::run::<Data>(("first_word", v(0), |cv| {
            let word = match &cv.1 {
                Val::TStr(bytes) => std::str::from_utf8(bytes).ok().map(|text| first_word(text).to_owned()),
                _ => None,
            };
            bome(Ok(word.map_or(Val::Null, Val::from)))
        }));
        let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs()).chain([own]);
        let arena = Arena::default();
        let modules = Loader::new(defs)
            .load(&arena, File { code, path: () })
            .map_err(|_| vec![(0, "jaq cannot load the filter".to_owned())])?;
        let filter = Compiler::default().with_funs(funs).compile(modules).map_err(|files| {
            let undefined = files.into_iter().flat_map(|(_, undefined)| undefined);
            undefined
                .map(|(name, kind)| {
                    let at = code.find(name).unwrap_or(0);
                    (at, format!("there is no {} `{name}` with these arguments", kind.as_str()))
                })
                .collect::<Vec<_>>()
        })?;
        Ok(Self { filter })
    }

    /// The payload; `None` when the filter gives nothing, null, or an object of which nothing is left.
    pub(super) fn apply(&self, data: &[u8]) -> Result<Option<Vec<u8>>, JqError> {
        let mut cursor = Cursor::new(data);
        cursor.space();
        let input = read(&mut cursor, 0)?;
        cursor.end()?;
        catch_unwind(AssertUnwindSafe(|| self.run(input, data.len() * 2 + 64 * 1024))).unwrap_or(Err(JqError::Panicked))
    }

    fn run(&self, input: Val, limit: usize) -> Result<Option<Vec<u8>>, JqError> {
        let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([]));
        // Not `unwrap_valr`: that ends the process where a filter says `halt`.
        let mut outputs = self.filter.id.run((context, input)).map(|output| {
            output.map_err(|error| JqError::Failed(error.get_err().map_or("halt".into(), |error| error.to_string())))
        });
        let Some(output) = outputs.next().transpose()? else { return Ok(None) };
        if outputs.next().transpose()?.is_some() {
            return Err(JqError::Several);
        }
        let mut out = Vec::new();
        Ok(write(&output, &mut out, limit, 0)?.then_some(out))
    }
}

/// Reads one value. An integer that fits is one for jaq; any other number is kept as its text.
fn read(cursor: &mut Cursor<'_>, depth: u32) -> Result<Val, JqError> {
    if depth > MAX_DEPTH {
        return Err(ScanError::TooDeep.into());
    }
    let string = |raw: &[u8]| text(raw).map(|text| Val::from(text.into_owned())).ok_or(ScanError::Malformed);
    match cursor.peek() {
        Some(b'"') => Ok(string(cursor.string()?)?),
        Some(b'{') => {
            cursor.take(b'{');
            let mut object = Map::default();
            cursor.items::<JqError>(b'}', |cursor| {
                let key = string(cursor.key()?)?;
                object.insert(key, read(cursor, depth + 1)?);
                Ok(())
            })?;
            Ok(Val::obj(object))
        }
        Some(b'[') => {
            cursor.take(b'[');
            let mut array = Vec::new();
            cursor.items::<JqError>(b']', |cursor| {
                array.push(read(cursor, depth + 1)?);
                Ok(())
            })?;
            Ok(array.into_iter().collect())
        }
        _ => match cursor.scalar()? {
            b"null" => Ok(Val::Null),
            b"true" => Ok(Val::Bool(true)),
            b"false" => Ok(Val::Bool(false)),
            number => Ok(Val::Num(read_number(number).ok_or(ScanError::Malformed)?)),
        },
    }
}

fn read_number(raw: &[u8]) -> Option<Num> {
    let number = std::str::from_utf8(raw).ok().filter(|text| is_number(text))?;
    match number.parse::<isize>() {
        Ok(int) if number != "-0" => Some(Num::Int(int)),
        _ => Some(Num::Dec(Rc::new(number.to_owned()))),
    }
}

/// Whether a text is a number of JSON's grammar.
pub(super) fn is_number(text: &str) -> bool {
    // `RawValue` validates the grammar and, unlike a float, takes any magnitude.
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok_and(|raw| raw.get().len() == text.len())
}

/// Writes an output as every projection does: see [`Cursor::strip`], of which this is the twin for jaq's values.
fn write(value: &Val, out: &mut Vec<u8>, limit: usize, depth: u32) -> Result<bool, JqError> {
    if depth > MAX_DEPTH {
        return Err(ScanError::TooDeep.into());
    }
    if out.len() > limit {
        return Err(JqError::TooLarge(limit));
    }
    match value {
        Val::Null => return Ok(false),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(Num::Float(float)) if !float.is_finite() => return Err(JqError::NotJson),
        Val::Num(number) => write!(out, "{number}").map_err(|_| JqError::NotJson)?,
        Val::TStr(bytes) if bytes.len() > limit => return Err(JqError::TooLarge(limit)),
        Val::TStr(bytes) => write_text(bytes, out)?,
        Val::BStr(_) => return Err(JqError::NotJson),
        Val::Arr(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !write(item, out, limit, depth + 1)? {
                    out.extend_from_slice(if matches!(item, Val::Null) { b"null" } else { b"{}" });
                }
            }
            out.push(b']');
        }
        Val::Obj(members) => {
            let mut kept = false;
            for (key, member) in members.iter() {
                let mark = out.len();
                out.push(if kept { b',' } else { b'{' });
                let Val::TStr(key) = key else { return Err(JqError::NotJson) };
                write_text(key, out)?;
                out.push(b':');
                if write(member, out, limit, depth + 1)? {
                    kept = true;
                } else {
                    out.truncate(mark);
                }
            }
            if !kept && !members.is_empty() {
                return Ok(false);
            }
            out.extend_from_slice(if kept { b"}" } else { b"{}" });
        }
    }
    Ok(true)
}

fn write_text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), JqError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JqError::NotJson)?;
    serde_json::to_writer(out, text).map_err(|_| JqError::NotJson)
}
