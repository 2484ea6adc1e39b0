//! Holds `docs/API_COVERAGE.md` and the table together: what is advertised is what is written, and the other way round.

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/API_COVERAGE.md");

/// The first three columns that an entry's row must have.
fn columns(entry: &Entry) -> Vec<String> {
    let api = ApiKey::try_from(entry.key).expect("the table names known keys");
    let versions = match entry.line {
        Line::Serve(spec, _) if spec.min == spec.max => spec.min.to_string(),
        Line::Serve(spec, _) => format!("{}–{}", spec.min, spec.max),
        Line::Refuse(_) => "—".to_owned(),
    };
    vec![entry.key.to_string(), format!("{api:?}"), versions]
}

#[test]
fn the_document_says_what_the_table_serves() {
    let rows: Vec<Vec<String>> = DOCUMENT
        .lines()
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 6 && cells[1].parse::<i16>().is_ok())
        .map(|cells| cells[1..5].to_vec())
        .collect();
    let mut entries: Vec<&Entry> = FAMILIES.iter().flat_map(|family| family.iter()).collect();
    entries.sort_by_key(|entry| entry.key);
    let expected: Vec<Vec<String>> = entries.iter().map(|entry| columns(entry)).collect();
    let written: Vec<Vec<String>> = rows.iter().map(|cells| cells[..3].to_vec()).collect();
    for (expected, written) in expected.iter().zip(&written) {
        assert_eq!(expected, written, "correct this row of docs/API_COVERAGE.md");
    }
    assert_eq!(expected.len(), written.len(), "docs/API_COVERAGE.md has a row for every key");
    for (entry, cells) in entries.iter().zip(&rows) {
        match entry.line {
            Line::Refuse(reason) => assert_eq!(cells[3], reason, "key {}", entry.key),
            Line::Serve(..) => assert!(!cells[3].is_empty(), "key {}: say how it is answered", entry.key),
        }
    }
}
