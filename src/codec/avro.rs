//! Avro bytes → JSON bytes along a [`Plan`], in one pass and without a tree between.
//!
//! The input is hostile: every length is checked against the bytes that are left, nesting is bounded, and so is what
//! comes out, since items without bytes of their own could otherwise multiply without end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::decimal;
use super::plan::{Field, Node, NodeId, Plan, Unit};
use super::refusal::{Cause, Fault, Step};
use super::time::Civil;
use crate::event::UnknownWords;

/// Deepest nesting of a value; JSON readers stop at 128.
const MAX_DEPTH: u32 = 64;

/// Most bytes of JSON that `input` bytes may become: field names and escapes make JSON larger, but not endlessly so.
fn output_limit(input: usize, max_record: usize) -> usize {
    input.saturating_mul(64).saturating_add(64 * 1024).min(max_record.saturating_mul(4))
}

/// Appends the JSON form of a whole Avro datum, an object, to `out`. `max_record` bounds what comes out: at most four
/// times as much. Returns the fields whose words the plan does not know.
pub(super) fn to_json<'p>(
    plan: &'p Plan,
    datum: &[u8],
    max_record: usize,
    out: &mut Vec<u8>,
) -> Result<UnknownWords, Fault<'p>> {
    let limit = out.len().saturating_add(output_limit(datum.len(), max_record));
    let mut reader = Reader { plan, datum, at: 0, out, limit, unknown: UnknownWords::new() };
    reader.value(plan.root(), MAX_DEPTH)?;
    if reader.at == datum.len() { Ok(reader.unknown) } else { Err(reader.fault("bytes after the end")) }
}

struct Reader<'p, 'd, 'o> {
    plan: &'p Plan,
    datum: &'d [u8],
    at: usize,
    out: &'o mut Vec<u8>,
    limit: usize,
    unknown: UnknownWords,
}

impl<'p, 'd> Reader<'p, 'd, '_> {
    #[cold]
    fn fault(&self, why: &'static str) -> Fault<'p> {
        Fault::new(Cause::Avro(why), self.at)
    }

    fn take(&mut self, n: usize) -> Result<&'d [u8], Fault<'p>> {
        let datum = self.datum;
        let end = self.at.checked_add(n);
        match end.and_then(|end| datum.get(self.at..end)) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => Err(self.fault("the bytes end too early")),
        }
    }

    fn byte(&mut self) -> Result<u8, Fault<'p>> {
        match self.datum.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => Err(self.fault("the bytes end too early")),
        }
    }

    fn long(&mut self) -> Result<i64, Fault<'p>> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(self.fault("an integer of more than 64 bits"))
    }

    fn int(&mut self) -> Result<i32, Fault<'p>> {
        i32::try_from(self.long()?).map_err(|_| self.fault("an int of more than 32 bits"))
    }

    /// A length, and that many bytes.
    fn bytes(&mut self) -> Result<&'d [u8], Fault<'p>> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.fault("a negative length")),
        }
    }

    fn text(&mut self) -> Result<&'d str, Fault<'p>> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| Fault::new(Cause::Utf8, self.at - bytes.len() + error.valid_up_to()))
    }

    /// Writes what serde knows best how to write: escaped text and shortest numbers.
    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault<'p>> {
        serde_json::to_writer(&mut *self.out, value).map_err(|_| self.fault("a value that JSON cannot hold"))
    }

    fn value(&mut self, id: NodeId, depth: u32) -> Result<(), Fault<'p>> {
        if self.out.len() > self.limit {
            return Err(Fault::new(Cause::TooLarge(self.limit), self.at));
        }
        let plan = self.plan;
        match plan.node(id) {
            Node::Record(fields) => self.record(fields, deeper(self, depth)?),
            Node::Text => {
                let text = self.text()?;
                self.json(text)
            }
            Node::Int => {
                let value = self.int()?;
                self.json(&value)
            }
            Node::Long => {
                let value = self.long()?;
                self.json(&value)
            }
            Node::Timestamp(unit) => self.timestamp(*unit, true),
            Node::LocalTimestamp(unit) => self.timestamp(*unit, false),
            Node::Decimal(shape) => {
                let bytes = match shape.size {
                    None => self.bytes()?,
                    Some(size) => self.take(size)?,
                };
                decimal::push(bytes, *shape, self.out).map_err(|error| self.fault(error.as_str()))
            }
            Node::Double => {
                let value = f64::from_le_bytes(self.array()?);
                if !value.is_finite() {
                    return Err(self.fault("a number that is not finite"));
                }
                self.json(&value)
            }
            Node::Float => {
                let value = f32::from_le_bytes(self.array()?);
                if !value.is_finite() {
                    return Err(self.fault("a number that is not finite"));
                }
                self.json(&value)
            }
            Node::Null => self.json(&()),
            Node::Boolean => match self.byte()? {
                0 => self.json(&false),
                1 => self.json(&true),
                _ => Err(self.fault("a boolean that is neither 0 nor 1")),
            },
            Node::Union(variants) => {
                let variant = self.variant(variants)?;
                // A union costs a level too: a record may contain itself through nothing else.
                let depth = deeper(self, depth)?;
                self.value(variant, depth)
            }
            Node::Array(items) => self.array_of(*items, deeper(self, depth)?),
            Node::Map(values) => self.map_of(*values, deeper(self, depth)?),
            Node::Enum(symbols) => {
                let index = self.int()?;
                match usize::try_from(index).ok().and_then(|index| symbols.get(index)) {
                    Some(symbol) => {
                        self.out.extend_from_slice(symbol.quoted.as_bytes());
                        Ok(())
                    }
                    None => Err(self.fault("an enum's index that has no symbol")),
                }
            }
            rest => self.rare(rest),
        }
    }

    /// Types that the catalogue does not use.
    fn rare(&mut self, node: &Node) -> Result<(), Fault<'p>> {
        match node {
            Node::Bytes => {
                let bytes = self.bytes()?;
                self.base64(bytes);
            }
            Node::Fixed(size) => {
                let bytes = self.take(*size)?;
                self.base64(bytes);
            }
            Node::UuidBytes { fixed } => {
                let bytes = if *fixed { self.take(16)? } else { self.bytes()? };
                let Ok(bytes) = <[u8; 16]>::try_from(bytes) else {
                    return Err(self.fault("a UUID that has not 16 bytes"));
                };
                let hex = format!("{:032x}", u128::from_be_bytes(bytes));
                self.out.push(b'"');
                for (i, digit) in hex.bytes().enumerate() {
                    if matches!(i, 8 | 12 | 16 | 20) {
                        self.out.push(b'-');
                    }
                    self.out.push(digit);
                }
                self.out.push(b'"');
            }
            Node::Date => {
                let days = self.int()?;
                let date =
                    Civil::from_days(days.into()).ok_or_else(|| self.fault("a date outside the years 0-9999"))?;
                self.out.push(b'"');
                date.push_date(self.out);
                self.out.push(b'"');
            }
            Node::TimeOfDay(unit) => {
                let count = if *unit == Unit::Millis { self.int()?.into() } else { self.long()? };
                let time = Civil::from_epoch(count, *unit)
                    .filter(|_| (0..86_400 * unit.per_second()).contains(&count))
                    .ok_or_else(|| self.fault("a time of day outside the day"))?;
                self.out.push(b'"');
                time.push_time(self.out);
                self.out.push(b'"');
            }
            Node::Duration => {
                let [m1, m2, m3, m4, d1, d2, d3, d4, s1, s2, s3, s4] = self.array()?;
                let [months, days, millis] =
                    [[m1, m2, m3, m4], [d1, d2, d3, d4], [s1, s2, s3, s4]].map(u32::from_le_bytes);
                let text = format!("\"P{months}M{days}DT{}.{:03}S\"", millis / 1_000, millis % 1_000);
                self.out.extend_from_slice(text.as_bytes());
            }
            _ => return Err(self.fault("a type that is not decoded")),
        }
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) {
        let text = STANDARD.encode(bytes);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault<'p>> {
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(bytes).map_err(|_| self.fault("the bytes end too early"))
    }

    fn variant(&mut self, variants: &[NodeId]) -> Result<NodeId, Fault<'p>> {
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .and_then(|index| variants.get(index).copied())
            .ok_or_else(|| self.fault("a union's index that has no branch"))
    }

    fn timestamp(&mut self, unit: Unit, utc: bool) -> Result<(), Fault<'p>> {
        let count = self.long()?;
        let Some(time) = Civil::from_epoch(count, unit) else {
            return Err(self.fault("a time outside the years 0-9999"));
        };
        self.out.push(b'"');
        time.push(self.out);
        self.out.extend_from_slice(if utc { b"Z\"" } else { b"\"" });
        Ok(())
    }

    fn record(&mut self, fields: &'p [Field], depth: u32) -> Result<(), Fault<'p>> {
        let plan = self.plan;
        let mut separator = b'{';
        for field in fields {
            let within = |fault: Fault<'p>| fault.within(Step::Field(&field.name));
            let mut node = field.node;
            if field.optional {
                if let Node::Union(variants) = plan.node(node) {
                    node = self.variant(variants).map_err(within)?;
                }
                // What a record has not is left out, never null.
                if matches!(plan.node(node), Node::Null) {
                    continue;
                }
            }
            self.out.push(separator);
            separator = b',';
            self.out.extend_from_slice(field.key.as_bytes());
            let begin = self.out.len();
            self.value(node, depth).map_err(within)?;
            if let (Some(words), Some(value)) = (&field.words, self.out.get(begin..)) {
                words.note(value, &mut self.unknown);
            }
        }
        if separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(())
    }

    /// How many items the next block has; 0 ends the array or map.
    fn block(&mut self) -> Result<u64, Fault<'p>> {
        let count = self.long()?;
        if count < 0 {
            // A negative count is followed by the block's size, for those who skip it.
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }

    fn array_of(&mut self, items: NodeId, depth: u32) -> Result<(), Fault<'p>> {
        self.out.push(b'[');
        let mut index = 0_usize;
        loop {
            let count = self.block()?;
            if count == 0 {
                break;
            }
            // A huge count ends where the bytes do; items without bytes end at the output's limit.
            for _ in 0..count {
                if index > 0 {
                    self.out.push(b',');
                }
                self.value(items, depth).map_err(|fault| fault.within(Step::Item(index)))?;
                index += 1;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn map_of(&mut self, values: NodeId, depth: u32) -> Result<(), Fault<'p>> {
        let mut keys = super::keys::Keys::default();
        self.out.push(b'{');
        let mut first = true;
        loop {
            let count = self.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    self.out.push(b',');
                }
                let key = self.text()?;
                if !keys.insert(key.into()) {
                    return Err(self.fault("a key that stands twice in a map"));
                }
                self.json(key)?;
                self.out.push(b':');
                self.value(values, depth).map_err(|fault| fault.within(Step::Entry))?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

fn deeper<'p>(reader: &Reader<'p, '_, '_>, depth: u32) -> Result<u32, Fault<'p>> {
    depth.checked_sub(1).ok_or_else(|| reader.fault("nested too deep"))
}
