//! One pass over a JSON object that notes where the values of some paths stand, and builds nothing.
//!
//! Routing (templates, keys, facts) and the copied projections both live on it: an event's data is validated once, by
//! `codec`, and is never turned into a tree on the way to a socket. Input that is no JSON after all is an error here,
//! never a panic; its values are not validated again.

use std::borrow::Cow;

use smallvec::SmallVec;

/// Deepest nesting that is rewritten or read into a tree; what is merely copied or skipped may be deeper.
pub(super) const MAX_DEPTH: u32 = 128;

/// Why a scan ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The data is not one JSON object.
    #[error("the data is not one JSON object")]
    Malformed,
    /// Something that has members to be picked is neither an object nor null.
    #[error("`{0}` is not an object")]
    NotObject(Box<str>),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the data is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// A place in the data.
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    /// Whether white space or a `null` was passed: a copied value that has none of them is copied as it stands.
    rewrite: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, rewrite: false }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
            self.rewrite = true;
        }
    }

    pub(super) fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.take(byte) { Ok(()) } else { Err(ScanError::Malformed) }
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), ScanError> {
        self.space();
        if self.at == self.data.len() { Ok(()) } else { Err(ScanError::Malformed) }
    }

    /// Passes a string and gives it with its quotes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], ScanError> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            match self.peek() {
                None => return Err(ScanError::Malformed),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.data[start..self.at]);
                }
                // Whatever is escaped, also a quote. The range below stays within the data, for `peek` looks first.
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
    }

    /// Passes a number, `true`, `false` or `null`.
    pub(super) fn scalar(&mut self) -> Result<&'a [u8], ScanError> {
        let rest = &self.data[self.at.min(self.data.len())..];
        let len = rest.iter().position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'.' | b'+' | b'-'));
        let text = &rest[..len.unwrap_or(rest.len())];
        self.at += text.len();
        match text {
            b"" => Err(ScanError::Malformed),
            b"null" => {
                self.rewrite = true;
                Ok(text)
            }
            _ => Ok(text),
        }
    }

    /// Passes one value, however deep.
    pub(super) fn skip(&mut self) -> Result<(), ScanError> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => drop(self.string()?),
                Some(b'{' | b'[') => {
                    self.at += 1;
                    depth += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    self.at += 1;
                    depth -= 1;
                }
                Some(b',' | b':') if depth > 0 => self.at += 1,
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.space(),
                _ => drop(self.scalar()?),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// After the opening bracket: walks the items of an object or array, `item` passing one each.
    pub(super) fn items<E: From<ScanError>>(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.space();
            item(self)?;
            self.space();
            if self.take(close) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// Passes a member's key and colon, and gives the key with its quotes.
    pub(super) fn key(&mut self) -> Result<&'a [u8], ScanError> {
        let key = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(key)
    }

    /// Writes the next value without white space and without the members that are null, and passes it. `false`: it was
    /// null, or an object of which nothing was left; then nothing is written. In an array everything keeps its place.
    pub(super) fn strip(&mut self, out: &mut Vec<u8>, depth: u32) -> Result<bool, ScanError> {
        if depth > MAX_DEPTH {
            return Err(ScanError::TooDeep);
        }
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let begin = out.len();
                let (mut seen, mut kept) = (false, false);
                self.items::<ScanError>(b'}', |cursor| {
                    let mark = out.len();
                    out.push(if kept { b',' } else { b'{' });
                    out.extend_from_slice(cursor.key()?);
                    out.push(b':');
                    seen = true;
                    if cursor.strip(out, depth + 1)? {
                        kept = true;
                    } else {
                        out.truncate(mark);
                    }
                    Ok(())
                })?;
                if seen && !kept {
                    out.truncate(begin);
                    return Ok(false);
                }
                out.extend_from_slice(if kept { b"}" } else { b"{}" });
            }
            Some(b'[') => {
                self.at += 1;
                out.push(b'[');
                let mut first = true;
                self.items::<ScanError>(b']', |cursor| {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    let null = cursor.peek() == Some(b'n');
                    if !cursor.strip(out, depth + 1)? {
                        out.extend_from_slice(if null { b"null" } else { b"{}" });
                    }
                    Ok(())
                })?;
                out.push(b']');
            }
            Some(b'"') => out.extend_from_slice(self.string()?),
            _ => match self.scalar()? {
                b"null" => return Ok(false),
                text => out.extend_from_slice(text),
            },
        }
        Ok(true)
    }
}

/// The text of a JSON string given with its quotes; `None` when it is no string or escapes half a surrogate pair.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        serde_json::from_slice::<String>(raw).ok().map(Cow::Owned)
    } else {
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }
}

/// A picked value as it stands in the data. Never null: that counts as absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picked<'a> {
    /// The value's bytes.
    pub(super) raw: &'a [u8],
    /// Whether they hold white space or a `null`.
    pub(super) rewrite: bool,
}

impl<'a> Picked<'a> {
    /// Its text, when it is a string.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        text(self.raw)
    }

    /// Writes it as a projection does; see [`Cursor::strip`].
    pub(super) fn write(self, out: &mut Vec<u8>) -> Result<bool, ScanError> {
        if self.rewrite {
            return Cursor::new(self.raw).strip(out, 0);
        }
        out.extend_from_slice(self.raw);
        Ok(true)
    }
}

/// What one pass found, by slot.
pub(super) type Slots<'a> = SmallVec<[Option<Picked<'a>>; 24]>;

#[derive(Debug, Default)]
struct Node {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    key: Box<str>,
    path: Box<str>,
    slot: Option<usize>,
    child: Option<usize>,
}

/// The paths that a pass looks for, as a tree. The root is node 0.
#[derive(Debug)]
pub(super) struct Picks {
    nodes: Vec<Node>,
    slots: usize,
}

impl Picks {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], slots: 0 }
    }

    /// The slot in which the value at that path will be found. The path has at least one key.
    pub(super) fn add<S: AsRef<str>>(&mut self, path: &[S]) -> usize {
        let (mut node, mut slot) = (0, 0);
        for depth in 0..path.len() {
            let key = path[depth].as_ref();
            let index = self.nodes[node].members.iter().position(|member| &*member.key == key).unwrap_or_else(|| {
                let name = path[..=depth].iter().map(AsRef::as_ref).collect::<Vec<_>>().join(".").into();
                self.nodes[node].members.push(Member { key: key.into(), path: name, slot: None, child: None });
                self.nodes[node].members.len() - 1
            });
            if depth + 1 == path.len() {
                let free = self.slots;
                slot = *self.nodes[node].members[index].slot.get_or_insert(free);
                self.slots += usize::from(slot == free);
            } else {
                let free = self.nodes.len();
                let child = *self.nodes[node].members[index].child.get_or_insert(free);
                if child == free {
                    self.nodes.push(Node::default());
                }
                node = child;
            }
        }
        slot
    }

    /// Finds them all in one pass over `data`. Of a repeated member the last counts, as in every JSON parser that the
    /// clients use.
    pub(super) fn scan<'a>(&self, data: &'a [u8]) -> Result<Slots<'a>, ScanError> {
        if self.slots == 0 {
            return Ok(Slots::new());
        }
        let mut slots = SmallVec::from_elem(None, self.slots);
        let mut cursor = Cursor::new(data);
        cursor.space();
        cursor.expect(b'{')?;
        self.object(0, &mut cursor, &mut slots)?;
        cursor.end()?;
        Ok(slots)
    }

    fn object<'a>(&self, node: usize, cursor: &mut Cursor<'a>, slots: &mut Slots<'a>) -> Result<(), ScanError> {
        cursor.items::<ScanError>(b'}', |cursor| {
            let key = cursor.key()?;
            let Some(member) = self.member(node, key) else { return cursor.skip() };
            let outer = std::mem::take(&mut cursor.rewrite);
            let start = cursor.at;
            if let Some(child) = member.child {
                self.clear(child, slots);
                match cursor.peek() {
                    Some(b'{') => {
                        cursor.at += 1;
                        self.object(child, cursor, slots)?;
                    }
                    _ if cursor.scalar() == Ok(b"null") => {}
                    _ => return Err(ScanError::NotObject(member.path.clone())),
                }
            } else {
                cursor.skip()?;
            }
            if let Some(slot) = member.slot {
                let raw = &cursor.data[start..cursor.at];
                slots[slot] = (raw != b"null").then_some(Picked { raw, rewrite: cursor.rewrite });
            }
            cursor.rewrite |= outer;
            Ok(())
        })
    }

    fn member(&self, node: usize, quoted: &[u8]) -> Option<&Member> {
        let members = &self.nodes[node].members;
        let inner = &quoted[1..quoted.len() - 1];
        if inner.contains(&b'\\') {
            let key = text(quoted)?;
            return members.iter().find(|member| *member.key == *key);
        }
        members.iter().find(|member| member.key.as_bytes() == inner)
    }

    /// A repeated member brings its own children or none.
    fn clear(&self, node: usize, slots: &mut Slots<'_>) {
        for member in &self.nodes[node].members {
            if let Some(slot) = member.slot {
                slots[slot] = None;
            }
            if let Some(child) = member.child {
                self.clear(child, slots);
            }
        }
    }
}
