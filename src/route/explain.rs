//! What the routes would do, for people: `routes check` and `routes explain`.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::Event;

use super::emission::{Class, Emission, EmitSpec, Routed};
use super::projection::ProjectError;
use super::table::Routes;

impl Class {
    /// As it stands in a route file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Every => "every",
            Self::Latest => "latest",
            Self::Transient => "transient",
        }
    }
}

fn keep(time: Duration) -> String {
    humantime_serde::re::humantime::format_duration(time).to_string()
}

/// All routes, one line per emission: event name, rooms, class, keep, and how the payload is made (`untouched`,
/// `copied` or `jq`).
#[must_use]
pub fn check_report(routes: &Routes) -> String {
    let mut report = format!("{}: {} event types\n", routes.origin, routes.order.len());
    for kind in &routes.order {
        let Some(route) = routes.types.get(kind) else { continue };
        let _ = writeln!(report, "{kind}");
        for emit in &route.emits {
            let rooms: Vec<&str> = emit.to.iter().map(super::template::Target::as_str).collect();
            let EmitSpec { event, class, keep: time, projection } = &*emit.spec;
            let _ = write!(report, "  {} {event} -> {}: {}", emit.ordinal, rooms.join(", "), class.as_str());
            if let Some(key) = &emit.key {
                let _ = write!(report, " per {}", key.name);
            }
            if let Some(time) = time {
                let _ = write!(report, ", keep {}", keep(*time));
            }
            let _ = writeln!(report, ", payload {}", projection.as_str());
        }
        if let Some(access) = &route.access {
            let fields =
                [Some(&access.order), access.customer.as_ref(), access.merchant.as_ref(), access.partner.as_ref()];
            let names: Vec<&str> = fields.into_iter().flatten().map(|field| &*field.name).collect();
            let _ = writeln!(report, "  order access by {}", names.join(", "));
        }
        if let Some(figure) = &route.figure {
            let _ = writeln!(report, "  dashboard figures from {}, {}", figure.amount.1, figure.time.1);
        }
    }
    report
}

/// What one event would do. Serializes to JSON with the payloads' own bytes; its `Display` is for people.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `routed`, `unknown_type`, or why the record is refused ([`super::RouteError::as_str`]).
    pub outcome: &'static str,
    /// What is wrong with a refused record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its emissions, in their order.
    pub emissions: Vec<ExplainedEmission>,
    /// Ordinals and names of the emissions that are left out, for an optional field is absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<(u16, String)>,
    /// Who may follow the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<ExplainedOrder>,
    /// What the dashboard counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figure: Option<ExplainedFigure>,
}

/// One emission of an [`Explanation`].
#[derive(Debug, Serialize)]
pub struct ExplainedEmission {
    /// Its place within the record.
    pub ordinal: u16,
    /// The event's name for clients.
    pub event: String,
    /// Where it goes.
    pub rooms: Vec<String>,
    /// Its delivery class.
    pub class: &'static str,
    /// What tells states of one room apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// What clients get, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
    /// Why there is no payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Who may follow an order.
#[derive(Debug, Serialize)]
pub struct ExplainedOrder {
    /// The order.
    pub order: String,
    /// Its customer.
    pub customer: Option<String>,
    /// Its merchant.
    pub merchant: Option<String>,
    /// Its delivery partner.
    pub partner: Option<String>,
}

/// What the dashboard counts.
#[derive(Debug, Serialize)]
pub struct ExplainedFigure {
    /// The order's total.
    pub amount: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// Shows what the routes make of an event.
#[must_use]
pub fn explain(routes: &Routes, event: &Event) -> Explanation {
    let (outcome, error, meaning) = match routes.route(event) {
        Ok(Some(meaning)) => ("routed", None, meaning),
        Ok(None) => ("unknown_type", None, Routed::default()),
        Err(error) => (error.as_str(), Some(error.to_string()), Routed::default()),
    };
    let name = |ordinal: &u16| {
        let emits = routes.types.get(&*event.kind).map(|route| route.emits.as_slice()).unwrap_or_default();
        emits.iter().find(|emit| emit.ordinal == *ordinal).map_or(String::new(), |emit| emit.spec.event.to_string())
    };
    Explanation {
        kind: event.kind.to_string(),
        outcome,
        error,
        emissions: meaning.emissions.iter().map(explain_emission).collect(),
        left_out: meaning.left_out.iter().map(|ordinal| (*ordinal, name(ordinal))).collect(),
        order: meaning.order.map(|facts| ExplainedOrder {
            order: facts.order.to_string(),
            customer: facts.customer.map(|id| id.to_string()),
            merchant: facts.merchant.map(|id| id.to_string()),
            partner: facts.partner.map(|id| id.to_string()),
        }),
        figure: meaning
            .figure
            .map(|figure| ExplainedFigure { amount: figure.amount.to_string(), created_at_ms: figure.created_at_ms }),
    }
}

fn explain_emission(emission: &Emission) -> ExplainedEmission {
    let payload = emission.payload().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (payload, error) = match payload.map(RawValue::from_string) {
        Ok(Ok(payload)) => (Some(payload), None),
        Ok(Err(error)) => (None, Some(format!("the payload is no JSON: {error}"))),
        Err(ProjectError::Filter(hidden)) => (None, Some(format!("the filter failed: {}", hidden.reveal()))),
        Err(error) => (None, Some(error.to_string())),
    };
    ExplainedEmission {
        ordinal: emission.ordinal,
        event: emission.spec.event.to_string(),
        rooms: emission.rooms.iter().map(ToString::to_string).collect(),
        class: emission.spec.class.as_str(),
        key: (!emission.latest_key.is_empty()).then(|| emission.latest_key.to_string()),
        keep: emission.spec.keep.map(keep),
        payload,
        error,
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.outcome)?;
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        for emission in &self.emissions {
            write!(f, "\n  {} {} -> {}", emission.ordinal, emission.event, emission.rooms.join(", "))?;
            write!(f, "\n    {}", emission.class)?;
            if let Some(key) = &emission.key {
                write!(f, ", key {key}")?;
            }
            if let Some(keep) = &emission.keep {
                write!(f, ", keep {keep}")?;
            }
            match (&emission.payload, &emission.error) {
                (Some(payload), _) => write!(f, "\n    {payload}")?,
                (None, Some(error)) => write!(f, "\n    no payload: {error}")?,
                (None, None) => {}
            }
        }
        for (ordinal, event) in &self.left_out {
            write!(f, "\n  {ordinal} {event} is left out: the record lacks an optional field that it needs")?;
        }
        if let Some(order) = &self.order {
            write!(f, "\n  order {} may be followed by", order.order)?;
            let who = [("customer", &order.customer), ("merchant", &order.merchant), ("partner", &order.partner)];
            for (role, id) in who.iter().filter_map(|(role, id)| Some((role, id.as_ref()?))) {
                write!(f, " {role} {id}")?;
            }
        }
        if let Some(figure) = &self.figure {
            write!(f, "\n  counts {} at {} ms", figure.amount, figure.created_at_ms)?;
        }
        Ok(())
    }
}
