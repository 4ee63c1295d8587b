//! The crate's shape: which module may know of which (`src/lib.rs`), and how long a file may get. It reads the sources
//! as text, which is enough for sources that are formatted.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lower first; a module knows only of those in the lines above its own, and of no other in its line.
const LAYERS: [&[&str]; 12] = [
    // `client` speaks the protocol from the other side: it must know nothing of the server that it tests.
    &["event", "position", "metrics", "config", "lifecycle", "client"],
    &["codec", "telemetry"],
    &["route"],
    &["kafka"],
    &["history", "dashboard"],
    &["hub"],
    &["pipeline", "gateway"],
    &["http"],
    &["app"],
    &["seed"],
    &["demo"],
    &["cli"],
];

/// `client`, and the marketplace with its audience, know nothing of the bridge that they judge: only its records, its
/// brokers' client and each other.
const OUTSIDERS: [(&str, &[&str]); 3] =
    [("client", &[]), ("seed", &["codec"]), ("demo", &["client", "codec", "kafka", "seed"])];

const LONGEST: usize = 500;

struct Source {
    /// Relative to `src`.
    path: PathBuf,
    text: String,
}

impl Source {
    fn module(&self) -> String {
        let first = self.path.iter().next().unwrap();
        Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned()
    }

    fn is_root(&self) -> bool {
        ["lib.rs", "main.rs"].iter().any(|root| self.path == Path::new(root))
    }

    /// Tests may look at whatever they compare with.
    fn is_test(&self) -> bool {
        self.path.iter().any(|part| part == "tests" || part == "tests.rs")
    }
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), text });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 50, "the sources are where they are looked for");
    found
}

/// The modules that come after `crate::`, also in braces, outside comments and unit tests.
fn imports(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        // `pub(in crate::…)` and a name that ends in `crate` are no imports of others.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !c.is_whitespace() => {
                    found.push(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn layers() -> BTreeMap<&'static str, usize> {
    LAYERS.iter().enumerate().flat_map(|(layer, modules)| modules.iter().map(move |module| (*module, layer))).collect()
}

#[test]
fn imports_are_found_in_every_way_of_writing() {
    let text = "use crate::hub::{Frame, Input};\nuse crate::{route::{Id, Room}, metrics::Metrics,\n    config};\n// crate::no\n\
                fn f() -> crate::event::Event { mycrate::nothing() }\n#[cfg(test)]\nmod tests {\n    use crate::cli::main;\n}\n";
    assert_eq!(imports(text), ["hub", "route", "metrics", "config", "event"]);
}

#[test]
fn lower_modules_never_import_higher_ones() {
    let layers = layers();
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_root() && !source.is_test()) {
        let module = source.module();
        let own = *layers.get(module.as_str()).unwrap_or_else(|| panic!("`{module}` is in no layer of this test"));
        for import in imports(&source.text).into_iter().filter(|import| *import != module) {
            let lower = layers.get(import.as_str()).is_none_or(|layer| *layer < own);
            if !lower {
                faults.push(format!("src/{}: `{module}` must not know of `{import}`", source.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_judges_the_bridge_knows_nothing_of_its_inside() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let module = source.module();
        let Some((_, allowed)) = OUTSIDERS.iter().find(|(outsider, _)| *outsider == module) else { continue };
        for import in imports(&source.text) {
            let known = import == module || allowed.contains(&import.as_str());
            assert!(known, "src/{}: `{module}` must not know of `{import}`", source.path.display());
        }
    }
}

#[test]
fn every_module_has_its_layer_and_every_layer_its_modules() {
    let mut there: Vec<String> = sources().iter().filter(|source| !source.is_root()).map(Source::module).collect();
    there.sort();
    there.dedup();
    assert_eq!(there, layers().into_keys().collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("src/{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST}: {long:#?}");
}
