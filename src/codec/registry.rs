//! The schema registry (Confluent API): ids → compiled schemas, each fetched once and kept for ever, since a registry
//! never changes what an id means.
//!
//! Looking up is on the way of every record and never waits. Fetching is asynchronous, bounded in time and size, and
//! done once for all who ask for the same id at the same time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apache_avro::schema::Schema;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::{Mutex, RwLock};
use serde::Deserialize;

use super::plan::Plan;
use super::schema::{Schemas, Writer};
use crate::config::Secret;

/// Largest answer of a registry, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// Most schemas that one schema may refer to, all levels together.
const MAX_REFERENCES: usize = 64;

/// The id of a schema in the registry, as it stands in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(u32);

impl SchemaId {
    /// Any number that a record can hold.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The id's number.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a schema could not be fetched this time. All of these may pass by themselves; a schema that came and cannot be
/// used is not among them (its records are refused with `bad_schema`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No registry is configured.
    #[error("no schema registry is configured; set codec.registry_url")]
    NoRegistry,
    /// The registry has no such schema (yet).
    #[error("the registry has no schema {0}")]
    NotThere(SchemaId),
    /// The registry cannot be reached, is too slow, or answers nonsense.
    #[error("schema {schema} cannot be fetched: {why}")]
    Unreachable {
        /// The schema.
        schema: SchemaId,
        /// What happened, without the registry's credentials.
        why: Arc<str>,
    },
    /// The registry refuses.
    #[error("schema {schema} cannot be fetched: the registry answers {status}; check its URL, user and password")]
    Status {
        /// The schema.
        schema: SchemaId,
        /// HTTP status.
        status: u16,
    },
}

/// Why the registry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL is none.
    #[error("codec.registry_url {url:?} is no http or https URL: {why}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The HTTP client cannot be built.
    #[error("the HTTP client for the schema registry cannot be built: {0}")]
    Client(String),
}

/// What an id means.
#[derive(Debug, Clone)]
pub(super) enum Resolved {
    /// Avro.
    Avro(Arc<Writer>),
    /// A JSON schema: the value after the id is JSON.
    Json,
    /// Something that cannot be used, for ever.
    Unusable(Arc<str>),
}

type Fetch = Shared<BoxFuture<'static, Result<(), ResolveError>>>;

/// The registry and what is known of it.
pub(super) struct Registry {
    api: Arc<Api>,
    known: Arc<RwLock<HashMap<SchemaId, Resolved>>>,
    fetching: Mutex<HashMap<SchemaId, Fetch>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No credentials.
        f.debug_struct("Registry").field("known", &self.known.read().len()).finish_non_exhaustive()
    }
}

impl Registry {
    pub(super) fn new(url: &str, config: &crate::config::Codec, schemas: Arc<Schemas>) -> Result<Self, SetupError> {
        let refused = |why: String| SetupError::Url { url: without_credentials(url), why };
        let base = reqwest::Url::parse(url).map_err(|e| refused(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(refused("another scheme".into()));
        }
        let client = reqwest::Client::builder()
            .timeout(config.registry_timeout)
            .connect_timeout(config.registry_timeout)
            .build()
            .map_err(|e| SetupError::Client(e.to_string()))?;
        let user = config.registry_user.clone().map(|user| (user, config.registry_password.clone()));
        let api = Api { schemas, client, base, user, timeout: config.registry_timeout };
        Ok(Self { api: Arc::new(api), known: Arc::default(), fetching: Mutex::default() })
    }

    /// What an id means, if it was resolved.
    pub(super) fn known(&self, id: SchemaId) -> Option<Resolved> {
        self.known.read().get(&id).cloned()
    }

    /// Makes an id known without a registry.
    #[cfg(test)]
    pub(super) fn insert(&self, id: SchemaId, resolved: Resolved) {
        self.known.write().insert(id, resolved);
    }

    /// Fetches what an id means, unless it is known.
    pub(super) async fn resolve(&self, id: SchemaId) -> Result<(), ResolveError> {
        if self.known(id).is_some() {
            return Ok(());
        }
        let fetch = self.fetching.lock().entry(id).or_insert_with(|| self.fetch(id)).clone();
        let outcome = fetch.clone().await;
        let mut fetching = self.fetching.lock();
        // Another call may have begun a new fetch after this one failed.
        if fetching.get(&id).is_some_and(|current| current.ptr_eq(&fetch)) {
            fetching.remove(&id);
        }
        outcome
    }

    fn fetch(&self, id: SchemaId) -> Fetch {
        let (api, known) = (Arc::clone(&self.api), Arc::clone(&self.known));
        let fetch = async move {
            // Covers the references too: one limit for all requests that an id needs.
            let limit = api.timeout;
            let resolved = tokio::time::timeout(limit, api.resolve(id)).await.unwrap_or_else(|_| {
                Err(ResolveError::Unreachable { schema: id, why: format!("no answer within {limit:?}").into() })
            })?;
            known.write().insert(id, resolved);
            Ok(())
        };
        fetch.boxed().shared()
    }
}

fn without_credentials(url: &str) -> String {
    url.rsplit_once('@').map_or_else(|| url.into(), |(_, rest)| format!("…@{rest}"))
}

struct Api {
    schemas: Arc<Schemas>,
    client: reqwest::Client,
    base: reqwest::Url,
    user: Option<(String, Option<Secret>)>,
    timeout: Duration,
}

/// The answer to `/schemas/ids/{id}` and to `/subjects/{subject}/versions/{version}`.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType", default)]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

impl Api {
    async fn resolve(&self, id: SchemaId) -> Result<Resolved, ResolveError> {
        let answer = self.get(id, &["schemas", "ids", &id.to_string()]).await?;
        match answer.kind.as_deref() {
            None | Some("AVRO") => {}
            Some("JSON") => return Ok(Resolved::Json),
            Some(_) => return Ok(Resolved::Unusable("it is neither an Avro nor a JSON schema".into())),
        }
        let Some(others) = self.references(id, answer.references).await? else {
            return Ok(Resolved::Unusable(format!("it refers to more than {MAX_REFERENCES} schemas").into()));
        };
        // A thread of its own: parsing is slow, and a parser's panic on a strange schema ends there.
        let schema = answer.schema;
        let compiled = tokio::task::spawn_blocking(move || compile(&schema, &others)).await;
        Ok(match compiled {
            Ok(Ok(plan)) => Resolved::Avro(Arc::new(self.schemas.writer(plan))),
            Ok(Err(why)) => Resolved::Unusable(why.into()),
            Err(_) => Resolved::Unusable("it cannot be parsed".into()),
        })
    }

    /// The texts of all schemas referred to, each once; `None` when there are too many.
    async fn references(&self, id: SchemaId, first: Vec<Reference>) -> Result<Option<Vec<String>>, ResolveError> {
        let mut wanted = first;
        let mut seen = std::collections::HashSet::new();
        let mut texts = Vec::new();
        while let Some(Reference { subject, version }) = wanted.pop() {
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            if seen.len() > MAX_REFERENCES || wanted.len() > MAX_REFERENCES {
                return Ok(None);
            }
            let answer = self.get(id, &["subjects", &subject, "versions", &version.to_string()]).await?;
            wanted.extend(answer.references);
            texts.push(answer.schema);
        }
        Ok(Some(texts))
    }

    async fn get(&self, id: SchemaId, path: &[&str]) -> Result<Answer, ResolveError> {
        let unreachable = |why: &str| ResolveError::Unreachable { schema: id, why: why.into() };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.client.get(url).header("accept", "application/vnd.schemaregistry.v1+json");
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, password.as_ref().map(Secret::expose));
        }
        // reqwest's errors name the URL, which may hold credentials.
        let transport = |error: reqwest::Error| unreachable(&error.without_url().to_string());
        let mut response = request.send().await.map_err(transport)?;
        match response.status() {
            status if status.is_success() => {}
            reqwest::StatusCode::NOT_FOUND => return Err(ResolveError::NotThere(id)),
            status => return Err(ResolveError::Status { schema: id, status: status.as_u16() }),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(unreachable("the answer has more than 1 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        // By way of a map: serde would read an array as a struct too.
        serde_json::from_slice::<serde_json::Map<_, _>>(&body)
            .and_then(|answer| serde_json::from_value(answer.into()))
            .map_err(|_| unreachable("the answer is not what a schema registry gives"))
    }
}

fn compile(schema: &str, others: &[String]) -> Result<Plan, String> {
    let (schema, others) = Schema::parse_str_with_list(schema, others).map_err(|e| e.to_string())?;
    Plan::compile(&schema, &others).map_err(|e| e.to_string())
}
