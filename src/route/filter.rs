//! From the text of a projection to its compiled form: parsed by jaq, checked against the event's schema and for what
//! routes may not do, then turned into copying where it only picks fields, else handed to jaq.
//!
//! What is checked: every plain path (`.a.b`, also behind `|`, in objects, operators, conditions and `select`) must
//! exist in the schema, also below `.[]`. Behind a call or a variable nothing is known, and nothing is checked.

use jaq_core::load::lex::{Lexer, StrPart, Token};
use jaq_core::load::parse::{BinaryOp, Parser, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Opt, Part, Path};

use crate::codec::{EventSchema, Shape};

use super::copy::{Copied, Value};
use super::jq::{Jq, is_number};
use super::projection::Projection;
use super::scan::Picks;

/// Longest filter, in bytes. Together with [`MAX_NESTING`] it bounds every recursion over a filter.
const MAX_LEN: usize = 4096;
const MAX_NESTING: u32 = 48;
/// Enough for jaq's recursive parser on [`MAX_LEN`] opening brackets.
const STACK: usize = 64 * 1024 * 1024;

/// What is wrong with a filter, and at which byte of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilterError {
    pub(super) at: usize,
    pub(super) message: String,
}

/// What a route's filter may call: everything that ends on every record, and depends on nothing but the record.
/// Loops (`range`, `recurse`, `until`, `reduce`, …), clocks, the environment and I/O are not among it.
const CALLS: &str = "\
    @base64 @base64d @html @json @text @uri abs add all any arrays ascii_downcase ascii_upcase booleans capture \
    ceil contains del empty endswith error fabs false first first_word flatten floor from_entries fromdate \
    fromdateiso8601 getpath gmtime group_by gsub has in index indices inside isarray isboolean isempty isnumber \
    isobject isstring iterables join keys keys_unsorted last length limit ltrim ltrimstr map map_values match max \
    max_by min min_by mktime not nth null nulls numbers objects pick reverse rindex round rtrim rtrimstr scalars \
    select sort sort_by split splits startswith strftime strings strptime sub test to_entries toboolean todate \
    todateiso8601 tojson tonumber tostring trim true type unique unique_by utf8bytelength values with_entries";

/// Compiles a projection for events of that schema.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn compile(code: &str, schema: &EventSchema) -> Result<Projection, Vec<FilterError>> {
    if code.len() > MAX_LEN {
        let message = format!("a projection has at most {MAX_LEN} bytes, this one has {}", code.len());
        return Err(vec![FilterError { at: 0, message }]);
    }
    // The parser recurses and asserts as it likes: on a stack and in a thread of its own it can do neither harm.
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("routes".into()).stack_size(STACK);
        let compiled =
            builder.spawn_scoped(scope, || compile_here(code, schema)).map(std::thread::ScopedJoinHandle::join);
        match compiled {
            Ok(Ok(compiled)) => compiled,
            Ok(Err(_)) => Err(vec![FilterError { at: 0, message: "jaq cannot parse this filter".into() }]),
            Err(error) => {
                Err(vec![FilterError { at: 0, message: format!("cannot start a thread to parse it: {error}") }])
            }
        }
    })
}

fn compile_here(code: &str, schema: &EventSchema) -> Result<Projection, Vec<FilterError>> {
    let term = parse(code)?;
    let mut check = Check { code, schema, errors: Vec::new(), seen: 0 };
    check.term(&term, Some(&[]), 0);
    if !check.errors.is_empty() {
        return Err(check.errors);
    }
    if matches!(term, Term::Id) {
        return Ok(Projection::Identity);
    }
    let mut picks = Picks::new();
    if let Some(root) = value(&term, &[], &mut picks) {
        return Ok(Projection::Copied(Box::new(Copied { picks, root }).into()));
    }
    let jq = Jq::compile(code).map_err(|undefined| {
        undefined.into_iter().map(|(at, message)| FilterError { at, message }).collect::<Vec<_>>()
    })?;
    Ok(Projection::Jq(Box::new(jq).into()))
}

fn place(code: &str, part: &str) -> usize {
    (part.as_ptr() as usize).checked_sub(code.as_ptr() as usize).filter(|at| *at <= code.len()).unwrap_or(0)
}

fn parse(code: &str) -> Result<Term<&str>, Vec<FilterError>> {
    let tokens = Lexer::new(code).lex().map_err(|errors| {
        errors
            .into_iter()
            .map(|(expected, rest)| FilterError {
                at: place(code, rest),
                message: format!("expected a {}", expected.as_str()),
            })
            .collect::<Vec<_>>()
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        errors
            .into_iter()
            .map(|(expected, found)| {
                let at = place(code, Token::opt_as_str(found, code));
                let found = found.map_or("the end".to_owned(), |token| format!("`{}`", token.as_str()));
                FilterError { at, message: format!("expected {}, found {found}", expected.as_str()) }
            })
            .collect()
    })
}

/// The text of a string without interpolation.
fn constant(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    parts.iter().try_fold(String::new(), |mut text, part| {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(part) => text.push(*part),
            StrPart::Term(_) => return None,
        }
        Some(text)
    })
}

/// The keys of a plain path.
fn path(term: &Term<&str>) -> Option<Vec<String>> {
    match term {
        Term::Id => Some(Vec::new()),
        Term::Path(head, Path(parts)) => {
            let mut keys = path(head)?;
            for part in parts {
                let (Part::Index(key), Opt::Essential) = part else { return None };
                keys.push(constant(key)?);
            }
            Some(keys)
        }
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            let mut keys = path(left)?;
            keys.extend(path(right)?);
            Some(keys)
        }
        _ => None,
    }
}

/// The term as a value to be copied, with `.` being the value at `base`; `None` when it needs jaq.
fn value(term: &Term<&str>, base: &[String], picks: &mut Picks) -> Option<Value> {
    let at = |keys: &[String]| [base, keys].concat();
    if let Some(keys) = path(term) {
        let keys = at(&keys);
        return (!keys.is_empty()).then(|| Value::Pick(picks.add(&keys)));
    }
    let json = |text: &str| serde_json::to_vec(text).ok();
    match term {
        Term::Str(..) => Some(Value::Constant(json(&constant(term)?)?.into())),
        Term::Num(number) if is_number(number) => Some(Value::Constant(number.as_bytes().into())),
        Term::Call("true", args) if args.is_empty() => Some(Value::Constant(b"true".as_slice().into())),
        Term::Call("false", args) if args.is_empty() => Some(Value::Constant(b"false".as_slice().into())),
        Term::Call("length", args) if args.is_empty() && !base.is_empty() => Some(Value::Length(picks.add(base))),
        Term::Call("first_word", args) if args.is_empty() && !base.is_empty() => {
            Some(Value::FirstWord(picks.add(base)))
        }
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            let base = at(&path(left)?);
            if !base.is_empty() {
                // Also where nothing of it is used: it is an error, then, if it cannot be reached.
                picks.add(&base);
            }
            value(right, &base, picks)
        }
        Term::Obj(members) => {
            let mut object = Vec::with_capacity(members.len());
            for (key, member) in members {
                let name = constant(key)?;
                let value = match member {
                    Some(member) => value(member, base, picks)?,
                    None => Value::Pick(picks.add(&at(std::slice::from_ref(&name)))),
                };
                let mut key = json(&name)?;
                key.push(b':');
                object.push((key.into(), value));
            }
            Some(Value::Object(object))
        }
        _ => None,
    }
}

struct Check<'a> {
    code: &'a str,
    schema: &'a EventSchema,
    errors: Vec<FilterError>,
    /// Place of the last name that was passed: operators have none of their own.
    seen: usize,
}

impl Check<'_> {
    fn refuse(&mut self, message: impl Into<String>) {
        self.errors.push(FilterError { at: self.seen, message: message.into() });
    }

    fn see(&mut self, name: &str) {
        self.seen = place(self.code, name);
    }

    /// Checks a term whose input is the value at `base` (`None`: not known), and gives the path of its output.
    fn term(&mut self, term: &Term<&str>, base: Option<&[String]>, depth: u32) -> Option<Vec<String>> {
        let deeper = depth + 1;
        if depth > MAX_NESTING {
            if self.errors.is_empty() {
                self.refuse(format!("nested deeper than {MAX_NESTING} levels"));
            }
            return None;
        }
        match term {
            Term::Id => return base.map(<[String]>::to_vec),
            Term::Path(head, Path(parts)) => return self.path(head, parts, base, deeper),
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                let base = self.term(left, base, deeper);
                return self.term(right, base.as_deref(), deeper);
            }
            Term::BinOp(left, op, right) => {
                self.term(left, base, deeper);
                self.term(right, base, deeper);
                let number = |term: &Term<&str>| matches!(term, Term::Num(_));
                if matches!(op, BinaryOp::Math(Math::Mul) | BinaryOp::UpdateMath(Math::Mul))
                    && !number(left)
                    && !number(right)
                {
                    self.refuse("one side of `*` must be a number, for a text or object grows without bound by it");
                }
            }
            Term::Obj(members) => self.object(members, base, deeper),
            Term::Call(name, args) => self.call(name, args, base, deeper),
            Term::Str(_, parts) => {
                for part in parts {
                    if let StrPart::Term(term) = part {
                        self.term(term, base, deeper);
                    }
                }
            }
            Term::Arr(Some(term)) | Term::Neg(term) | Term::Label(_, term) => drop(self.term(term, base, deeper)),
            Term::TryCatch(body, catch) => {
                self.term(body, base, deeper);
                if let Some(catch) = catch {
                    self.term(catch, None, deeper);
                }
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, branch) in branches {
                    self.term(condition, base, deeper);
                    self.term(branch, base, deeper);
                }
                if let Some(otherwise) = otherwise {
                    self.term(otherwise, base, deeper);
                }
            }
            Term::Num(number) if !is_number(number) => {
                self.see(number);
                self.refuse(format!("`{number}` is no JSON number"));
            }
            Term::Fold(name, ..) => {
                self.see(name);
                self.refuse(format!("`{name}` is not available in routes"));
            }
            Term::Def(..) => self.refuse("`def` is not available in routes"),
            Term::Arr(None) | Term::Num(_) | Term::Recurse | Term::Break(_) | Term::Var(_) => {}
        }
        None
    }

    fn path(
        &mut self,
        head: &Term<&str>,
        parts: &[(Part<Term<&str>>, Opt)],
        base: Option<&[String]>,
        depth: u32,
    ) -> Option<Vec<String>> {
        let mut reached = self.term(head, base, depth);
        for (part, _) in parts {
            reached = match part {
                Part::Index(key) => match (constant(key), reached) {
                    (Some(name), Some(mut keys)) => {
                        if let Term::Str(_, text) = key
                            && let [StrPart::Str(text)] = text[..]
                        {
                            self.see(text);
                        }
                        keys.push(name);
                        self.exists(&keys).then_some(keys)
                    }
                    (None, _) => {
                        self.term(key, base, depth);
                        None
                    }
                    _ => None,
                },
                Part::Range(from, to) => {
                    for bound in [from, to].into_iter().flatten() {
                        self.term(bound, base, depth);
                    }
                    // `.[]` of an array or map goes on into its items; of anything else, nothing is told.
                    let keys = if from.is_none() && to.is_none() { reached } else { None };
                    keys.map(|keys| [keys, vec!["[]".to_owned()]].concat()).filter(|keys| self.shape(keys).is_some())
                }
            };
        }
        reached
    }

    /// What stands at a path; `[]` steps into an array or map. `None`: nothing, or it cannot be told.
    fn shape(&self, keys: &[String]) -> Option<Shape> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.schema.field_type(&keys).map(|field| field.shape)
    }

    /// Whether more can be told about a path. Refuses one that the schema does not have.
    fn exists(&mut self, keys: &[String]) -> bool {
        let there = self.shape(keys).is_some();
        let parent = self.shape(&keys[..keys.len().saturating_sub(1)]);
        if !there && !matches!(parent, Some(Shape::Any | Shape::Map)) {
            self.refuse(format!("{} has no field `{}`", self.schema.kind(), keys.join(".")));
        }
        there
    }

    fn object(&mut self, members: &[(Term<&str>, Option<Term<&str>>)], base: Option<&[String]>, depth: u32) {
        let mut names = Vec::new();
        for (key, member) in members {
            let name = constant(key);
            if let Term::Str(_, text) = key
                && let [StrPart::Str(text)] = text[..]
            {
                self.see(text);
            }
            match (&name, member) {
                (_, Some(member)) => drop(self.term(member, base, depth)),
                (Some(name), None) => {
                    if let Some(base) = base {
                        self.exists(&[base, std::slice::from_ref(name)].concat());
                    }
                }
                (None, None) => {}
            }
            match name {
                Some(name) if names.contains(&name) => self.refuse(format!("the key `{name}` stands here twice")),
                Some(name) => names.push(name),
                None => drop(self.term(key, base, depth)),
            }
        }
    }

    fn call(&mut self, name: &str, args: &[Term<&str>], base: Option<&[String]>, depth: u32) {
        self.see(name);
        if !CALLS.split(' ').any(|call| call == name) {
            self.refuse(format!("`{name}` is not available in routes"));
        }
        let shape = base.filter(|keys| !keys.is_empty()).and_then(|keys| self.shape(keys));
        let fits = match (name, shape) {
            ("length", Some(shape)) => {
                matches!(
                    shape,
                    Shape::Array | Shape::Map | Shape::Record | Shape::String | Shape::Timestamp | Shape::Any
                )
            }
            ("first_word", Some(shape)) => matches!(shape, Shape::String | Shape::Any),
            _ => true,
        };
        if !fits {
            self.refuse(format!("the field has no `{name}`"));
        }
        // These run their argument on their own input; others on something else, of which nothing is known.
        let same = matches!(name, "select" | "del" | "pick" | "first" | "last" | "isempty" | "error");
        for arg in args {
            self.term(arg, if same { base } else { None }, depth);
        }
    }
}
