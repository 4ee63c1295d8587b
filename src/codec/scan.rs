//! JSON, scanned: tokens, objects, arrays, any value, each checked as it is passed.
//!
//! Takes exactly what `serde_json` takes as a value of its own, less objects that have a key twice; a property test holds
//! it to that. Keeps nothing: what it passes stays where it is.

use std::borrow::Cow;

use super::keys::Keys;
use super::refusal::{Cause, Fault, Step};
use crate::event::UnknownWords;

/// A place in a JSON text.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// Fields whose words the schema does not know.
    pub(super) unknown: UnknownWords,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// What it means. Escapes were checked when it was scanned.
    pub(super) fn plain(self) -> Cow<'a, str> {
        if self.escaped { unescape(self.raw).into() } else { self.raw.into() }
    }
}

#[cold]
fn unescape(raw: &str) -> String {
    serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_default()
}

impl<'a> Scan<'a> {
    /// Begins at the first byte that is not white space, which must be an object's.
    pub(super) fn object<'p>(bytes: &'a [u8]) -> Result<Self, Fault<'p>> {
        let text = std::str::from_utf8(bytes).map_err(|error| Fault::new(Cause::Utf8, error.valid_up_to()))?;
        let mut scan = Self { text, at: 0, unknown: UnknownWords::new() };
        scan.white_space();
        if scan.peek() == Some(b'{') { Ok(scan) } else { Err(scan.fault("expected an object")) }
    }

    /// Nothing but white space may follow.
    pub(super) fn end<'p>(&mut self) -> Result<(), Fault<'p>> {
        self.white_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("expected the end")) }
    }

    #[cold]
    pub(super) fn fault<'p>(&self, why: &'static str) -> Fault<'p> {
        Fault::new(Cause::Json(why), self.at)
    }

    #[cold]
    pub(super) fn mistyped<'p>(&self, expected: &'static str) -> Fault<'p> {
        Fault::new(Cause::Type(expected), self.at)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    pub(super) fn literal<'p>(&mut self, word: &'static str) -> Result<(), Fault<'p>> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.fault("expected a value"))
        }
    }

    /// A string; the quote has not been eaten yet.
    pub(super) fn string<'p>(&mut self) -> Result<Text<'a>, Fault<'p>> {
        if !self.eat(b'"') {
            return Err(self.fault("expected a string"));
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            // The end of the text is found here too: nothing is left to skip, and nothing is there.
            self.at += rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault("a control character in a string")),
                None => return Err(self.fault("a string without an end")),
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    fn escape<'p>(&mut self) -> Result<(), Fault<'p>> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => match self.unit()? {
                // Half of a character is no text: `serde_json` and others would refuse it later.
                0xdc00..=0xdfff => return Err(self.fault("a lone surrogate in a string")),
                0xd800..=0xdbff if !self.low_surrogate()? => return Err(self.fault("a lone surrogate in a string")),
                _ => {}
            },
            _ => return Err(self.fault("an unknown escape in a string")),
        }
        Ok(())
    }

    fn low_surrogate<'p>(&mut self) -> Result<bool, Fault<'p>> {
        if !self.eat(b'\\') || self.peek() != Some(b'u') {
            return Ok(false);
        }
        Ok((0xdc00..=0xdfff).contains(&self.unit()?))
    }

    /// `uXXXX`
    fn unit<'p>(&mut self) -> Result<u32, Fault<'p>> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5).unwrap_or_default();
        let unit = digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?));
        match unit {
            Some(unit) if digits.len() == 4 => {
                self.at += 5;
                Ok(unit)
            }
            _ => Err(self.fault("an unknown escape in a string")),
        }
    }

    /// A number's text.
    pub(super) fn number<'p>(&mut self) -> Result<&'a str, Fault<'p>> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return Err(self.fault(if start == self.at { "expected a value" } else { "expected a digit" }));
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.fault("expected a digit"));
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return Err(self.fault("expected a digit"));
            }
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    /// Walks an object whose brace has not been eaten; `each` reads one value.
    pub(super) fn members<'p>(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>, usize) -> Result<(), Fault<'p>>,
    ) -> Result<(), Fault<'p>> {
        self.at += 1;
        self.white_space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let key_at = self.at;
            let key = self.string()?;
            self.white_space();
            if !self.eat(b':') {
                return Err(self.fault("expected a colon"));
            }
            self.white_space();
            each(self, key, key_at)?;
            self.white_space();
            if self.eat(b'}') {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(self.fault("expected a comma or the object's end"));
            }
            self.white_space();
        }
    }

    /// Walks an array whose bracket has not been eaten; `each` reads one item.
    pub(super) fn items<'p>(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), Fault<'p>>,
    ) -> Result<(), Fault<'p>> {
        self.at += 1;
        self.white_space();
        if self.eat(b']') {
            return Ok(());
        }
        for index in 0.. {
            each(self, index)?;
            self.white_space();
            if self.eat(b']') {
                break;
            }
            if !self.eat(b',') {
                return Err(self.fault("expected a comma or the array's end"));
            }
            self.white_space();
        }
        Ok(())
    }

    pub(super) fn deeper<'p>(&self, depth: u32) -> Result<u32, Fault<'p>> {
        depth.checked_sub(1).ok_or_else(|| self.fault("nested too deep"))
    }

    /// Any value.
    pub(super) fn any<'p>(&mut self, depth: u32) -> Result<(), Fault<'p>> {
        match self.peek() {
            Some(b'{') => {
                let depth = self.deeper(depth)?;
                let mut keys = Keys::default();
                self.members(|scan, key, key_at| {
                    if !keys.insert(key.plain()) {
                        return Err(Fault::new(Cause::Duplicate, key_at));
                    }
                    scan.any(depth).map_err(|fault| fault.within(Step::Entry))
                })
            }
            Some(b'[') => {
                let depth = self.deeper(depth)?;
                self.items(|scan, index| scan.any(depth).map_err(|fault| fault.within(Step::Item(index))))
            }
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.number().map(|_| ()),
        }
    }
}
