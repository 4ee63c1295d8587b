//! The nearest known key for one that does not exist: most are misspelt, or stand in the wrong section.

use super::de::KnownKeys;

/// The message for a key that does not exist, with the nearest one that does.
pub(super) fn unknown_key(path: &str, known: &KnownKeys) -> String {
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    let kind = if section.is_empty() { "section" } else { "key" };
    let here = known.get(section).copied().unwrap_or_default();
    if let Some(near) = nearest(key, here.iter().copied()) {
        return format!("unknown {kind} `{key}`, did you mean `{near}`?");
    }
    // Not here: perhaps it is a key of another section, under the same name or nearly so.
    let elsewhere = known.iter().filter(|(other, _)| !other.is_empty() && *other != section);
    let best = elsewhere
        .flat_map(|(other, keys)| keys.iter().map(move |key| (other, *key)))
        .filter_map(|(other, name)| within_reach(key, name).map(|distance| (distance, other, name)))
        .min();
    match best {
        Some((_, other, name)) => format!("unknown {kind} `{key}`, did you mean `{other}.{name}`?"),
        None if here.is_empty() => format!("unknown {kind} `{key}`"),
        None => format!("unknown {kind} `{key}`, known are `{}`", here.join("`, `")),
    }
}

/// The nearest of the names, if one is near enough to be meant.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.filter_map(|known| within_reach(name, known).map(|distance| (distance, known))).min().map(|(_, known)| known)
}

/// The distance, when at most a third of the letters differ.
fn within_reach(a: &str, b: &str) -> Option<usize> {
    let most = a.len().max(b.len()).div_ceil(3).min(4);
    Some(distance(a, b)).filter(|distance| *distance <= most)
}

/// Levenshtein distance by bytes; keys are short and ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replace = corner + usize::from(!x.eq_ignore_ascii_case(&y));
            corner = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ping_interval", "ping_interval"), 0);
        assert_eq!(distance("PING", "ping"), 0);
    }

    #[test]
    fn a_key_of_another_section_is_found() {
        let known: KnownKeys = [
            (String::new(), ["server", "socket"].as_slice()),
            ("server".into(), ["listen"].as_slice()),
            ("socket".into(), ["ping_interval", "ping_timeout"].as_slice()),
        ]
        .into_iter()
        .collect();
        assert!(unknown_key("socket.ping_intervall", &known).contains("`ping_interval`?"));
        assert!(unknown_key("server.ping_timeout", &known).contains("`socket.ping_timeout`?"));
        assert!(unknown_key("sokcet", &known).contains("`socket`?"));
        assert!(unknown_key("server.zzz", &known).contains("known are `listen`"));
    }
}
