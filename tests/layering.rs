//! The house keeps its floors: imports run downward only, there are no circles, and no room grows too large.
//!
//! An ordinary test that reads the sources. `docs/ARCHITECTURE.md` draws the floors; this test is the drawing that
//! can not go stale.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which floor a top-level room is on; a room imports only rooms on lower floors.
const FLOORS: &[(&str, u32)] = &[
    ("base", 1),
    ("model", 1),
    ("wire", 1),
    ("config", 2),
    ("record", 2),
    ("metastore", 3),
    ("object", 3),
    ("console", 4),
    ("log", 4),
    ("security", 4),
    ("coordinator", 5),
    ("lake", 5),
    ("api", 6),
    ("server", 7),
    ("agent", 8),
    ("cli", 9),
    ("main", 10),
];

/// What must not be named outside of the rooms that own it.
const ABSENCES: &[(&str, &[&str])] = &[
    ("kafka_protocol", &["api", "wire", "cli", "server"]),
    ("tokio_postgres", &["metastore/postgres"]),
    ("deadpool_postgres", &["metastore/postgres"]),
    ("slatedb", &["metastore/embedded"]),
    ("SystemTime::now", &["base"]),
    ("tokio::spawn", &["base"]),
];

const FILE_LINES_MAX: usize = 700;

struct Source {
    path: PathBuf,
    /// Path below `src`, without extension, e.g. `log/append/writer`.
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).expect("below src").with_extension("");
                let text = fs::read_to_string(&path).expect("source is text");
                found.push(Source { room: below.to_string_lossy().replace('\\', "/"), text, path });
            }
        }
    }
    // Rooms that only tests enter may do what tests do.
    found.retain(|source| {
        !["/tests", "/kit"].iter().any(|end| source.room.ends_with(end) || source.room.contains(&format!("{end}/")))
    });
    found.sort_by(|left, right| left.room.cmp(&right.room));
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The code of a file without its unit tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn top(room: &str) -> &str {
    room.split('/').next().unwrap_or(room)
}

fn floor(room: &str) -> u32 {
    FLOORS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("room '{room}' has no floor")).1
}

/// Every `crate::a::b…` path that a file names, as `a/b`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let path: String = code[start + 7..]
            .chars()
            .take_while(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | ':'))
            .collect();
        let segments: Vec<&str> = path
            .split("::")
            .take_while(|segment| segment.chars().next().is_some_and(|first| first.is_ascii_lowercase()))
            .collect();
        if !segments.is_empty() {
            found.insert(segments.join("/"));
        }
    }
    found
}

#[test]
fn imports_run_downward_only() {
    let mut arrows_up = Vec::new();
    for source in sources().iter().filter(|source| source.room != "lib") {
        let own = top(&source.room);
        for import in imports(&code(&source.text)) {
            let other = top(&import);
            if other != own && floor(other) >= floor(own) {
                arrows_up.push(format!("{} imports {import}", source.room));
            }
        }
    }
    assert!(arrows_up.is_empty(), "arrows up or sideways:\n{}", arrows_up.join("\n"));
}

#[test]
fn files_form_no_circles() {
    let sources = sources();
    let rooms: BTreeSet<&str> = sources.iter().map(|source| source.room.as_str()).collect();
    // An import names an item of a file: the longest prefix that is a file (or a folder's mod) is its target.
    let target = |import: &str| -> Option<String> {
        let segments: Vec<&str> = import.split('/').collect();
        (1..=segments.len()).rev().map(|end| segments[..end].join("/")).find_map(|prefix| {
            if rooms.contains(prefix.as_str()) {
                return Some(prefix);
            }
            let folder = format!("{prefix}/mod");
            rooms.contains(folder.as_str()).then_some(folder)
        })
    };
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.room != "lib" && source.room != "main") {
        let targets = imports(&code(&source.text)).iter().filter_map(|import| target(import)).collect::<BTreeSet<_>>();
        arrows.insert(source.room.clone(), targets.into_iter().filter(|other| *other != source.room).collect());
    }
    // Files nothing unfinished points at are finished; what remains in the end points in circles.
    loop {
        let free: Vec<String> = arrows
            .iter()
            .filter(|(_, targets)| targets.iter().all(|other| !arrows.contains_key(other)))
            .map(|(room, _)| room.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        for room in free {
            arrows.remove(&room);
        }
    }
    let circles: Vec<String> = arrows
        .iter()
        .map(|(room, targets)| {
            let inside: Vec<_> = targets.iter().filter(|other| arrows.contains_key(*other)).cloned().collect();
            format!("{room} -> {}", inside.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "circles among:\n{}", circles.join("\n"));
}

#[test]
fn absences_hold() {
    let mut found = Vec::new();
    for source in sources() {
        let code = code(&source.text);
        for (word, owners) in ABSENCES {
            let allowed = owners.iter().any(|owner| source.room.starts_with(owner));
            if !allowed && code.contains(word) {
                found.push(format!("{} names {word}", source.room));
            }
        }
    }
    assert!(found.is_empty(), "named where it must not be:\n{}", found.join("\n"));
}

#[test]
fn rooms_stay_small() {
    let mut found = Vec::new();
    for source in sources() {
        let lines = code(&source.text).lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines of code, {FILE_LINES_MAX} are allowed", source.path.display()));
        }
    }
    assert!(found.is_empty(), "split these:\n{}", found.join("\n"));
}

#[test]
fn mod_files_only_name_their_children() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.room.ends_with("/mod")) {
        let stray = code(&source.text)
            .lines()
            .map(str::trim)
            .find(|line| {
                !(line.is_empty()
                    || line.starts_with("pub mod ")
                    || line.starts_with("pub(crate) mod ")
                    || line.starts_with("mod ")
                    || line.starts_with("#["))
            })
            .map(str::to_owned);
        if let Some(line) = stray {
            found.push(format!("{}: {line}", source.room));
        }
    }
    assert!(found.is_empty(), "mod.rs defines things:\n{}", found.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    let markers = ["todo!(", "unimplemented!(", "FIXME", "XXX"];
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if markers.iter().any(|marker| line.contains(marker)) {
                found.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "unfinished:\n{}", found.join("\n"));
}
