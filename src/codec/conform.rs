//! Whether all that one schema can write fits another, by the JSON that comes out. Where it does, records need no check
//! of their own; where it does not for sure, each is checked after it was decoded.

use super::plan::{Decimal, Field, Node, NodeId, Plan};

/// Deeper schemas, and ones that contain themselves, are not judged: their records are checked one by one.
const MAX_DEPTH: u32 = 16;

/// `true` only if every record that `writer` can write has the types of `reader`.
pub(super) fn conforms(writer: &Plan, reader: &Plan) -> bool {
    Pair { writer, reader }.fits(writer.root(), reader.root(), MAX_DEPTH)
}

struct Pair<'a> {
    writer: &'a Plan,
    reader: &'a Plan,
}

impl Pair<'_> {
    fn fits(&self, written: NodeId, wanted: NodeId, depth: u32) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let (nullable, written) = self.writer.stripped(written);
        let (may_be_null, wanted) = self.reader.stripped(wanted);
        if nullable && !may_be_null {
            return false;
        }
        // Several branches wanted: anything goes. Several written: not for sure.
        let Some(wanted) = wanted else { return true };
        let Some(written) = written else { return false };
        match (self.writer.node(written), self.reader.node(wanted)) {
            (Node::Record(written), Node::Record(wanted)) => self.record(written, wanted, depth),
            (Node::Array(written), Node::Array(wanted)) | (Node::Map(written), Node::Map(wanted)) => {
                self.fits(*written, *wanted, depth)
            }
            (Node::Decimal(written), Node::Decimal(wanted)) => decimal_fits(*written, *wanted),
            (Node::Int | Node::Long | Node::Float | Node::Double | Node::Decimal(_), Node::Double)
            | (Node::Float, Node::Float)
            | (Node::Int | Node::Long, Node::Long)
            | (Node::Int, Node::Int)
            | (Node::Boolean, Node::Boolean)
            | (Node::Null, Node::Null)
            | (Node::Timestamp(_), Node::Timestamp(_)) => true,
            (written, wanted) => written.is_text() && wanted.is_text() && !matches!(wanted, Node::Timestamp(_)),
        }
    }

    fn record(&self, written: &[Field], wanted: &[Field], depth: u32) -> bool {
        wanted.iter().all(|wanted| match written.iter().find(|field| field.name == wanted.name) {
            // Whoever wrote it may know other words than we do, or does not say which it knows.
            Some(field) => {
                (wanted.words.is_none() || field.words == wanted.words) && self.fits(field.node, wanted.node, depth)
            }
            None => wanted.optional,
        })
    }
}

fn decimal_fits(written: Decimal, wanted: Decimal) -> bool {
    written.scale <= wanted.scale
        && written.precision.saturating_sub(written.scale) <= wanted.precision.saturating_sub(wanted.scale)
}
