use std::io::Write;

use super::*;

fn flag(key: &str, value: &str) -> FlagValue {
    FlagValue { key: key.to_owned(), value: value.to_owned(), flag: format!("--{key}") }
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn origin_of(loaded: &Loaded, key: &str) -> Origin {
    loaded.resolved.iter().find(|setting| setting.key == key).unwrap().origin.clone()
}

#[test]
fn each_source_overrides_the_one_below_it() {
    let file = file("[console]\nhttp = \"127.0.0.1:1\"\nreadiness_timeout_ms = 1\n");
    let mut sources = Sources::default();
    assert_eq!(load(&sources).unwrap().settings, Settings::default());

    sources.file = Some(file.path().to_owned());
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.console.http, "127.0.0.1:1");
    assert_eq!(origin_of(&loaded, "console.http"), Origin::File(file.path().to_owned()));

    sources.environment = vec![variable("TOWPATH_CONSOLE__HTTP", "127.0.0.1:2")];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.console.http, "127.0.0.1:2");
    assert_eq!(origin_of(&loaded, "console.http"), Origin::Environment("TOWPATH_CONSOLE__HTTP".to_owned()));
    assert_eq!(loaded.settings.console.readiness_timeout_ms, 1, "the file still holds for the rest");

    sources.flags = vec![flag("console.http", "127.0.0.1:3")];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.console.http, "127.0.0.1:3");
    assert_eq!(origin_of(&loaded, "console.http"), Origin::Flag("--console.http".to_owned()));
    assert_eq!(origin_of(&loaded, "console.readiness_timeout_ms"), Origin::File(file.path().to_owned()));
}

#[test]
fn what_a_command_presumes_yields_to_everything_else() {
    let presets = vec![flag("console.http", "127.0.0.1:4")];
    let loaded = load(&Sources { presets: presets.clone(), ..Sources::default() }).unwrap();
    assert_eq!(loaded.settings.console.http, "127.0.0.1:4");
    assert_eq!(origin_of(&loaded, "console.http"), Origin::Command("--console.http".to_owned()));
    let environment = vec![variable("TOWPATH_CONSOLE__HTTP", "127.0.0.1:2")];
    let loaded = load(&Sources { presets, environment, ..Sources::default() }).unwrap();
    assert_eq!(loaded.settings.console.http, "127.0.0.1:2");
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion_wherever_it_stands() {
    let file = file("[console]\nreadyness_timeout_ms = 1\n");
    let cases = [
        Sources { file: Some(file.path().to_owned()), ..Sources::default() },
        Sources { environment: vec![variable("TOWPATH_CONSOLE__READYNESS_TIMEOUT_MS", "1")], ..Sources::default() },
        Sources { flags: vec![flag("console.readyness_timeout_ms", "1")], ..Sources::default() },
        Sources { environment: vec![variable("TOWPATH_CONSOLE_READINESS_TIMEOUT_MS", "1")], ..Sources::default() },
    ];
    for sources in cases {
        let message = load(&sources).unwrap_err().to_string();
        let lower = message.to_lowercase();
        assert!(lower.contains("did you mean") && lower.contains("readiness_timeout_ms"), "{message}");
    }
}

#[test]
fn a_key_that_resembles_nothing_points_at_the_list() {
    let sources = Sources { flags: vec![flag("zzz.qqq", "1")], ..Sources::default() };
    let message = load(&sources).unwrap_err().to_string();
    assert!(message.contains("towpath config show"), "{message}");
}

#[test]
fn variables_that_an_orchestrator_makes_up_are_left_alone() {
    let environment = vec![
        variable("TOWPATH_PORT_9092_TCP_ADDR", "10.0.0.1"),
        variable("TOWPATH_SERVICE_HOST", "10.0.0.1"),
        variable("TOWPATH_LOG", "debug"),
    ];
    assert_eq!(load(&Sources { environment, ..Sources::default() }).unwrap().settings, Settings::default());
}

#[test]
fn a_value_of_the_wrong_type_names_its_source() {
    let environment = vec![variable("TOWPATH_CONSOLE__READINESS_TIMEOUT_MS", "soon")];
    let message = load(&Sources { environment, ..Sources::default() }).unwrap_err().to_string();
    assert!(message.contains("console.readiness_timeout_ms"), "{message}");
    assert!(message.contains("TOWPATH_CONSOLE__READINESS_TIMEOUT_MS"), "{message}");
}

#[test]
fn optional_text_that_looks_like_a_number_stays_text() {
    let environment = vec![variable("TOWPATH_AGENT__RACK", "7")];
    let loaded = load(&Sources { environment, ..Sources::default() }).unwrap();
    assert_eq!(loaded.settings.agent.rack.as_deref(), Some("7"));
}

#[test]
fn text_is_taken_as_it_stands() {
    let url = "s3://bucket/a,b?endpoint=http://h:1&region=eu west [1]";
    let loaded = load(&Sources { flags: vec![flag("agent.store", url)], ..Sources::default() }).unwrap();
    assert_eq!(loaded.settings.agent.store.as_deref(), Some(url));
    let flags = vec![flag("agent.node_id", "7"), flag("log.puts_per_second", "2")];
    let loaded = load(&Sources { flags, ..Sources::default() }).unwrap();
    assert_eq!((loaded.settings.agent.node_id, loaded.settings.log.puts_per_second), (Some(7), 2.0));
}

#[test]
fn a_missing_file_is_an_error() {
    let sources = Sources { file: Some(PathBuf::from("/does/not/exist.toml")), ..Sources::default() };
    assert!(load(&sources).unwrap_err().to_string().contains("--config"));
}

#[test]
fn passwords_are_not_shown() {
    assert_eq!(without_password("postgres://me:very:secret@db:5432/x"), "postgres://me:***@db:5432/x");
    assert_eq!(without_password("postgres://me@db/x"), "postgres://me@db/x");
    assert_eq!(without_password("s3://bucket/a:b@c"), "s3://bucket/a:b@c");
    assert_eq!(without_password("127.0.0.1:9092"), "127.0.0.1:9092");
}

#[test]
fn every_setting_has_a_variable_that_sets_it() {
    for (key, _) in defaults() {
        let environment = vec![variable(&variable_of(&key), "\u{0}not a value of any type")];
        match load(&Sources { environment, ..Sources::default() }) {
            Ok(loaded) => assert_eq!(origin_of(&loaded, &key), Origin::Environment(variable_of(&key)), "{key}"),
            Err(LoadError::Value { key: refused, .. }) => assert_eq!(refused, key),
            Err(other) => panic!("{key}: {other}"),
        }
    }
}

#[test]
fn the_reference_page_names_every_setting_with_its_default() {
    let page = include_str!("../../../docs/operations/settings.md");
    for (key, default) in defaults() {
        let default = match default {
            serde_json::Value::Null => "none".to_owned(),
            serde_json::Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let row = format!("| `{key}` | {default} |");
        assert!(page.contains(&row), "docs/operations/settings.md lacks the row that begins with\n{row}");
    }
    let documented = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for key in documented.filter(|key| key.contains('.')) {
        assert!(defaults().iter().any(|(known, _)| known == key), "settings.md names {key}, which is no setting");
    }
}
