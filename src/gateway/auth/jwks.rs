//! The keys of a JWKS file, read again when it changes. The file is looked at once per interval at most, however many
//! tokens with unknown keys come, and by one caller while the others go on with the keys that are there. A file that is
//! missing or broken for a while changes nothing: the last good keys stay.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use tracing::{info, warn};

use super::AuthSetupError;
use super::keys::{self, Key};

/// Between two looks at the file: so long may a new key be unknown, and a removed one be known.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// A JWKS file and its keys.
#[derive(Debug)]
pub(super) struct JwksFile {
    path: PathBuf,
    keys: RwLock<Arc<[Key]>>,
    look: Mutex<Look>,
}

/// What the last look at the file found.
#[derive(Debug)]
struct Look {
    at: Instant,
    taken: Option<Stamp>,
    /// The last state that was complained about, so that each is told once.
    told: Option<Result<Stamp, std::io::ErrorKind>>,
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Self { modified: meta.modified().ok(), size: meta.len(), inode })
    }
}

impl JwksFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read or has no usable key: a node must not start without.
    pub(super) fn open(path: &Path, now: Instant) -> Result<Self, AuthSetupError> {
        let unread = |source| AuthSetupError::Read { path: path.into(), source };
        let stamp = Stamp::of(path).map_err(unread)?;
        let text = keys::read(path).map_err(unread)?;
        let (found, passed) =
            keys::from_jwks(&text).map_err(|why| AuthSetupError::Content { path: path.into(), why })?;
        report(path, &found, &passed);
        Ok(Self {
            path: path.into(),
            keys: RwLock::new(found.into()),
            look: Mutex::new(Look { at: now, taken: Some(stamp), told: None }),
        })
    }

    /// The keys as they stand now; looks at the file first when the interval is over.
    pub(super) fn keys(&self, now: Instant) -> Arc<[Key]> {
        // Whoever does not get the lock goes on with the keys that are there.
        if let Some(mut look) = self.look.try_lock()
            && now.saturating_duration_since(look.at) >= INTERVAL
        {
            look.at = now;
            self.refresh(&mut look);
        }
        Arc::clone(&self.keys.read())
    }

    fn refresh(&self, look: &mut Look) {
        let path = self.path.display();
        let stamp = match Stamp::of(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                let state = Err(error.kind());
                if look.told.as_ref() != Some(&state) {
                    warn!(event = "auth.jwks_unreadable", %path, %error, "cannot read the JWKS file; its last keys stay");
                    look.told = Some(state);
                }
                return;
            }
        };
        if look.taken.as_ref() == Some(&stamp) {
            look.told = None;
            return;
        }
        let found = keys::read(&self.path).map_err(|error| error.to_string()).and_then(|text| keys::from_jwks(&text));
        match found {
            Ok((found, passed)) => {
                report(&self.path, &found, &passed);
                *self.keys.write() = found.into();
                look.taken = Some(stamp);
                look.told = None;
            }
            Err(why) => {
                // Perhaps half written: it is read again at the next look.
                let state = Ok(stamp);
                if look.told.as_ref() != Some(&state) {
                    warn!(event = "auth.jwks_broken", %path, why, "the JWKS file cannot be used; its last keys stay");
                    look.told = Some(state);
                }
            }
        }
    }
}

fn report(path: &Path, found: &[Key], passed: &[String]) {
    let names: Vec<&str> = found.iter().map(|key| key.id.as_deref().unwrap_or("(unnamed)")).collect();
    info!(event = "auth.jwks_read", path = %path.display(), keys = names.join(" "), "read the JWKS file");
    for why in passed {
        warn!(event = "auth.jwks_passed_over", path = %path.display(), why, "an entry of the JWKS file is not used");
    }
}
