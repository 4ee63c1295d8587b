//! From a route file to the compiled table: every name is looked up in the schemas, every template and projection is
//! compiled, and every mistake is noted with its place before any is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use toml::Spanned;

use crate::codec::{EventSchema, FieldType, Schemas, Shape};

use super::emission::{Class, EmitSpec};
use super::file::{Problems, RawEmit, RawFields, RawFile, RouteErrors};
use super::filter;
use super::projection::Projection;
use super::scan::Picks;
use super::table::{Access, Emit, Figure, Routes, TypeRoute};
use super::template::{IdField, Target};

/// Event names that mean something else to a client: Socket.IO's own, and the bridge's protocol.
const RESERVED: [&str; 7] =
    ["connect", "connect_error", "disconnect", "disconnecting", "error", "newListener", "removeListener"];
const RESERVED_PREFIXES: [&str; 3] = ["auth:", "sync:", "order:"];
const MAX_EVENT_NAME: usize = 128;
/// The ordinal of an emission is part of its id; this many are more than a record can need.
const MAX_EMITS: usize = 64;
/// Deepest path that a template or fact may name.
const MAX_PATH: usize = 16;

pub(super) struct Builder<'a> {
    problems: Problems<'a>,
    text: &'a str,
    origin: &'a str,
    schemas: &'a Schemas,
    types: HashMap<Arc<str>, TypeRoute>,
    order: Vec<Arc<str>>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str, origin: &'a str, schemas: &'a Schemas) -> Self {
        let problems = Problems::new(text, origin);
        Self { problems, text, origin, schemas, types: HashMap::new(), order: Vec::new() }
    }

    pub(super) fn build(mut self) -> Result<Routes, RouteErrors> {
        let file = RawFile::read(self.text, &mut self.problems);
        let mut routed: Vec<&str> = Vec::new();
        for route in &file.routes {
            let kind = route.kind.get_ref().as_str();
            if routed.contains(&kind) {
                let message = format!("`{kind}` has a route already: add this one's emits to it");
                self.problems.at(route.kind.span().start, &route.part, message);
            }
            routed.push(kind);
            if let Some(schema) = self.schema(&route.kind, &route.part) {
                self.emits(schema, &route.part, &route.kind, &route.emits);
            }
        }
        for access in &file.access {
            if let Some(schema) = self.schema(&access.kind, &access.part) {
                self.access(schema, access);
            }
        }
        if let Some(figures) = &file.figures
            && let Some(schema) = self.schema(&figures.kind, &figures.part)
        {
            self.figures(schema, figures);
        }
        self.problems.finish()?;
        Ok(Routes { origin: self.origin.into(), types: self.types, order: self.order })
    }

    fn schema(&mut self, kind: &Spanned<String>, part: &str) -> Option<&'a EventSchema> {
        let schema = self.schemas.event(kind.get_ref());
        if schema.is_none() {
            let message = format!("there is no schema for `{}` to check it against", kind.get_ref());
            self.problems.at(kind.span().start, part, message);
        }
        schema
    }

    fn entry(types: &'_ mut HashMap<Arc<str>, TypeRoute>, order: &mut Vec<Arc<str>>, kind: &str) -> Arc<str> {
        if let Some((kind, _)) = types.get_key_value(kind) {
            return Arc::clone(kind);
        }
        let kind: Arc<str> = kind.into();
        order.push(Arc::clone(&kind));
        let route = TypeRoute { picks: Picks::new(), emits: Vec::new(), access: None, figure: None };
        types.insert(Arc::clone(&kind), route);
        kind
    }

    fn emits(&mut self, schema: &'a EventSchema, part: &str, kind: &Spanned<String>, raw: &[RawEmit]) {
        if raw.len() > MAX_EMITS {
            let message = format!("has {} emits; {MAX_EMITS} are the most", raw.len());
            self.problems.at(kind.span().start, part, message);
        }
        let name = Self::entry(&mut self.types, &mut self.order, kind.get_ref());
        // Taken out while its fields are added, so that the problems can be noted beside it.
        let Some(mut route) = self.types.remove(&name) else { return };
        for raw in raw {
            let emit = self.emit(schema, &name, raw, &mut route.picks);
            route.emits.extend(emit);
        }
        self.types.insert(name, route);
    }

    fn emit(&mut self, schema: &EventSchema, kind: &Arc<str>, raw: &RawEmit, picks: &mut Picks) -> Option<Emit> {
        let mut to: SmallVec<[Target; 2]> = SmallVec::new();
        for text in &raw.to {
            match Target::parse(text.get_ref(), |path| id_field(schema, path, picks)) {
                Ok(target) if to.iter().any(|other| other.as_str() == target.as_str()) => {
                    self.problems.at(text.span().start, &raw.part, format!("`{}` stands here twice", text.get_ref()));
                }
                Ok(target) => to.push(target),
                Err(errors) => {
                    for (at, message) in errors {
                        self.problems.within(text, at, &raw.part, message);
                    }
                }
            }
        }
        let class = self.class(raw);
        let key = self.key(schema, raw, class, picks);
        let keep = self.keep(raw, class);
        let event = self.event(kind, raw);
        let projection = self.projection(schema, raw)?;
        let spec = Arc::new(EmitSpec { event, class, keep, projection });
        Some(Emit { ordinal: u16::try_from(raw.ordinal).ok()?, to, key, spec })
    }

    fn class(&mut self, raw: &RawEmit) -> Class {
        match raw.class.as_ref().map(|class| (class, class.get_ref().as_str())) {
            None | Some((_, "every")) => Class::Every,
            Some((_, "latest")) => Class::Latest,
            Some((_, "transient")) => Class::Transient,
            Some((class, other)) => {
                let message = format!("unknown class `{other}`: it is every, latest or transient");
                self.problems.at(class.span().start, &raw.part, message);
                Class::Every
            }
        }
    }

    fn key(&mut self, schema: &EventSchema, raw: &RawEmit, class: Class, picks: &mut Picks) -> Option<IdField> {
        let key = raw.key.as_ref()?;
        if class != Class::Latest {
            let message = "`key` tells states apart: it needs class = \"latest\"";
            self.problems.at(key.span().start, &raw.part, message);
            return None;
        }
        match id_field(schema, key.get_ref(), picks) {
            Ok(field) => Some(field),
            Err(message) => {
                self.problems.at(key.span().start, &raw.part, message);
                None
            }
        }
    }

    fn keep(&mut self, raw: &RawEmit, class: Class) -> Option<Duration> {
        let keep = raw.keep.as_ref()?;
        let problem = match humantime_serde::re::humantime::parse_duration(keep.get_ref()) {
            Ok(_) if class == Class::Transient => "a transient emission is never kept: leave `keep` out".to_owned(),
            Ok(time) if time.is_zero() => "`keep` is no time at all: leave it out to keep nothing".to_owned(),
            Ok(time) => return Some(time),
            Err(error) => format!("`keep` is no time such as \"7d\" or \"90m\": {error}"),
        };
        self.problems.at(keep.span().start, &raw.part, problem);
        None
    }

    fn event(&mut self, kind: &Arc<str>, raw: &RawEmit) -> Arc<str> {
        let (name, span) = match &raw.event {
            None => (&**kind, None),
            Some(event) => (event.get_ref().as_str(), Some(event.span())),
        };
        let at = span.or_else(|| raw.to.first().map(Spanned::span)).map_or(0, |span| span.start);
        if name.is_empty() || name.len() > MAX_EVENT_NAME {
            self.problems.at(at, &raw.part, format!("an event's name has 1 to {MAX_EVENT_NAME} bytes"));
        }
        if RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            self.problems.at(at, &raw.part, format!("clients know `{name}` as something else: choose another name"));
        }
        if name == &**kind { Arc::clone(kind) } else { name.into() }
    }

    fn projection(&mut self, schema: &EventSchema, raw: &RawEmit) -> Option<Projection> {
        let Some(payload) = &raw.payload else { return Some(Projection::Identity) };
        match filter::compile(payload.get_ref(), schema) {
            Ok(projection) => Some(projection),
            Err(errors) => {
                for error in errors {
                    self.problems.within(payload, error.at, &raw.part, format!("payload: {}", error.message));
                }
                None
            }
        }
    }

    fn access(&mut self, schema: &'a EventSchema, raw: &RawFields) {
        let name = Self::entry(&mut self.types, &mut self.order, raw.kind.get_ref());
        let Some(mut route) = self.types.remove(&name) else { return };
        if route.access.is_some() {
            self.problems.at(raw.kind.span().start, &raw.part, "this type has its order_access already");
        }
        let mut field = |name: &str| {
            let path = raw.field(name)?;
            let field = id_field(schema, path.get_ref(), &mut route.picks);
            field.map_err(|message| self.problems.at(path.span().start, &raw.part, message)).ok()
        };
        let (order, customer) = (field("order"), field("customer"));
        let (merchant, partner) = (field("merchant"), field("partner"));
        if let Some(order) = order {
            route.access = Some(Access { order, customer, merchant, partner });
        }
        self.types.insert(name, route);
    }

    fn figures(&mut self, schema: &'a EventSchema, raw: &RawFields) {
        let name = Self::entry(&mut self.types, &mut self.order, raw.kind.get_ref());
        let Some(mut route) = self.types.remove(&name) else { return };
        let mut field = |name: &str, expected: &str, fits: fn(Shape) -> bool| {
            let text = raw.field(name)?;
            let (path, found) = match lookup(schema, text.get_ref()) {
                Ok(found) => found,
                Err(message) => {
                    self.problems.at(text.span().start, &raw.part, message);
                    return None;
                }
            };
            if !fits(found.shape) || found.optional {
                let message = format!("`{}` must be {expected} that is always there", text.get_ref());
                self.problems.at(text.span().start, &raw.part, message);
            }
            Some((route.picks.add(&path), Arc::from(text.get_ref().as_str())))
        };
        let number = |shape| matches!(shape, Shape::Integer | Shape::Number | Shape::Decimal { .. });
        let amount = field("amount", "a number", number);
        let time = field("time", "a time", |shape| shape == Shape::Timestamp);
        if let (Some(amount), Some(time)) = (amount, time) {
            route.figure = Some(Figure { amount, time });
        }
        self.types.insert(name, route);
    }
}

/// The field at a dotted path.
fn lookup<'p>(schema: &EventSchema, path: &'p str) -> Result<(Vec<&'p str>, FieldType), String> {
    let keys: Vec<&str> = path.split('.').collect();
    if keys.len() > MAX_PATH {
        return Err(format!("`{path}` is deeper than {MAX_PATH} levels"));
    }
    let found = schema.field_type(&keys).filter(|_| !keys.contains(&"[]"));
    let found = found.ok_or_else(|| format!("{} has no field `{path}`", schema.kind()))?;
    Ok((keys, found))
}

/// A field that must hold an id.
fn id_field(schema: &EventSchema, path: &str, picks: &mut Picks) -> Result<IdField, String> {
    let (keys, found) = lookup(schema, path)?;
    if found.shape != Shape::String {
        return Err(format!("`{path}` is no text, and cannot be an id"));
    }
    Ok(IdField { name: path.into(), slot: picks.add(&keys), optional: found.optional })
}
