//! The commands as a person runs them: the built binary, its output, its exit codes, and what it leaves behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

/// The binary in an environment of its own, with `folder` as its temporary folder.
fn towpath(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_towpath"));
    command.args(arguments).env_clear().env("TMPDIR", folder).stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    towpath(folder, arguments).output().expect("the binary runs")
}

/// Standard output of a command that must succeed.
fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{:?}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("output is JSON")
}

/// A running `towpath dev`; stopped and waited for at the end.
struct Dev {
    child: Child,
    bootstrap: String,
    addresses: Value,
    folder: tempfile::TempDir,
}

impl Dev {
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut arguments = vec!["dev", "--json", "--http", "127.0.0.1:0"];
        arguments.extend(more);
        if !more.contains(&"--listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let mut child = towpath(folder.path(), &arguments).stdout(Stdio::piped()).spawn().expect("the binary runs");
        let output = child.stdout.as_mut().expect("piped");
        let addresses = Value::deserialize(&mut serde_json::Deserializer::from_reader(output)).expect("addresses");
        let bootstrap = addresses["bootstrap"].as_str().expect("an address").to_owned();
        Self { child, bootstrap, addresses, folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = towpath(self.folder.path(), arguments);
        command.env("TOWPATH_BOOTSTRAP", &self.bootstrap);
        command
    }

    fn produce(&self, arguments: &[&str], input: &[u8]) {
        let mut child = self
            .command(&[&["produce"], arguments].concat())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        child.stdin.take().expect("piped").write_all(input).expect("it reads its input");
        let output = child.wait_with_output().expect("it ends");
        stdout(&output);
    }

    /// Asks it to stop, as an orchestrator would, and says how it ended.
    fn terminate(&mut self) -> Option<i32> {
        let process = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &process]).status().expect("kill runs");
        assert!(killed.success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Ended already where a test has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn records_go_in_and_come_out() {
    let dev = Dev::start(&[]);
    let lines: String = (0..1000).map(|number| format!("key-{}:value-{number}\n", number % 7)).collect();
    dev.run(&["topic", "create", "orders", "-p", "4"]);
    dev.produce(&["orders", "-K", ":", "-z", "zstd", "-H", "source=test"], lines.as_bytes());

    let output = dev.run(&["consume", "orders", "-e", "-K", ":"]);
    let mut consumed: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    let mut produced: Vec<String> = lines.lines().map(str::to_owned).collect();
    consumed.sort();
    produced.sort();
    assert_eq!(consumed, produced);

    // Records of one key keep their order, whatever the partition.
    let output = dev.run(&["consume", "orders", "-e", "-f", "%k %v %h\\n"]);
    let of_one_key: Vec<u32> = stdout(&output)
        .lines()
        .filter_map(|line| line.strip_prefix("key-3 value-")?.strip_suffix(" source=test")?.parse().ok())
        .collect();
    assert_eq!(of_one_key, (0..1000).filter(|number| number % 7 == 3).collect::<Vec<_>>());

    let output = dev.run(&["consume", "orders", "-p", "0", "-o", "-3", "-e", "--json"]);
    let records: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["partition"] == 0 && record["headers"][0][0] == "source"));

    let output = dev.run(&["consume", "orders", "-c", "10", "-o", "@-1h"]);
    assert_eq!(stdout(&output).lines().count(), 10);
}

#[test]
fn delimiters_and_null_values_are_understood() {
    let dev = Dev::start(&[]);
    dev.produce(&["raw", "-D", "\\0", "-K", "=", "-Z"], b"a=1\0b=\0no key\0last=one");
    let output = dev.run(&["consume", "raw", "-e", "-f", "%k|%v|%K|%V;"]);
    assert_eq!(stdout(&output), "a|1|1|1;b||1|-1;|no key|-1|6;last|one|4|3;");
}

#[test]
fn topics_are_made_shown_changed_and_deleted() {
    let dev = Dev::start(&[]);
    let created = json(&dev.run(&["--json", "topic", "create", "a", "b", "-p", "3", "-c", "retention.ms=60000"]));
    assert_eq!(created.as_array().unwrap().len(), 2);
    assert_eq!(created[0]["partitions"], 3);
    assert_eq!(dev.run(&["topic", "create", "a"]).status.code(), Some(1));
    assert!(dev.run(&["topic", "create", "a", "--if-not-exists"]).status.success());

    stdout(&dev.run(&["topic", "alter", "a", "-p", "5", "--set", "cleanup.policy=compact", "--unset", "retention.ms"]));
    let described = json(&dev.run(&["topic", "describe", "a", "--json"]));
    assert_eq!(described["partitions"].as_array().unwrap().len(), 5);
    let settings = described["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 1, "{settings:?}");
    assert_eq!(
        (settings[0]["name"].as_str(), settings[0]["value"].as_str()),
        (Some("cleanup.policy"), Some("compact"))
    );

    let refused = dev.run(&["topic", "alter", "a", "--set", "no.such.thing=1"]);
    assert_eq!(refused.status.code(), Some(1));
    let output = dev.run(&["topic", "delete", "a", "missing"]);
    assert_eq!(output.status.code(), Some(1), "one of them is missing");
    let names: Vec<String> = stdout(&dev.run(&["topic", "list"]))
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn groups_share_commit_lag_and_are_reset() {
    let dev = Dev::start(&[]);
    stdout(&dev.run(&["topic", "create", "work", "-p", "2"]));
    let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
    dev.produce(&["work", "-p", "0"], lines.as_bytes());
    dev.produce(&["work", "-p", "1"], lines.as_bytes());

    let first = stdout(&dev.run(&["consume", "work", "-g", "crew", "-e"]));
    assert_eq!(first.lines().count(), 200);
    dev.produce(&["work", "-p", "0"], b"more\n");
    let described = json(&dev.run(&["group", "describe", "crew", "--json"]));
    assert_eq!((described["lag"].as_i64(), described["state"].as_str()), (Some(1), Some("Empty")));
    let second = stdout(&dev.run(&["consume", "work", "-g", "crew", "-e"]));
    assert_eq!(second, "more\n", "what was committed is not read again");

    let planned = json(&dev.run(&["group", "reset", "crew", "--to", "-10", "--dry-run", "--json"]));
    assert_eq!((planned[0]["from"].as_i64(), planned[0]["to"].as_i64()), (Some(101), Some(91)));
    stdout(&dev.run(&["group", "reset", "crew", "--to", "beginning", "-p", "1"]));
    let third = stdout(&dev.run(&["consume", "work", "-g", "crew", "-e"]));
    assert_eq!(third, lines, "partition 1 again, partition 0 not");

    let listed = json(&dev.run(&["group", "list", "--json"]));
    assert_eq!(listed[0]["group"], "crew");
    stdout(&dev.run(&["group", "delete", "crew"]));
    assert_eq!(json(&dev.run(&["group", "list", "--json"])), Value::Array(Vec::new()));
    assert_eq!(dev.run(&["group", "describe", "crew"]).status.code(), Some(1));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let dev = Dev::start(&[]);
    let lines: String = (0..50_000).map(|number| format!("a rather long line, number {number}\n")).collect();
    dev.produce(&["long"], lines.as_bytes());
    let mut child = dev
        .command(&["consume", "long", "-e"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    // The reader is dropped here, as `head -1` would end.
    assert_eq!(first, "a rather long line, number 0\n");
    let mut complaints = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut complaints).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(complaints, "");
}

#[test]
fn dev_takes_the_next_port_and_leaves_nothing_behind() {
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("an address").to_string();
    let mut dev = Dev::start(&["--listen", &address]);
    assert_ne!(dev.bootstrap, address);
    dev.produce(&["x"], b"x\n");
    let left = || std::fs::read_dir(dev.folder.path()).expect("the folder").count();
    assert_eq!(left(), 1, "its data");
    let http = dev.addresses["http"].as_str().expect("an address").to_owned();
    assert!(!http.ends_with(":0"));
    assert_eq!(dev.terminate(), Some(0));
    assert_eq!(std::fs::read_dir(dev.folder.path()).expect("the folder").count(), 0);
}

#[test]
fn dev_keeps_what_it_is_told_to_keep() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let path = data.path().to_str().expect("text");
    let mut dev = Dev::start(&["--data", path]);
    dev.produce(&["kept"], b"one\ntwo\n");
    assert_eq!(dev.terminate(), Some(0));
    let dev = Dev::start(&["--data", path]);
    assert_eq!(stdout(&dev.run(&["consume", "kept", "-e"])), "one\ntwo\n");
}

#[test]
fn the_demo_moves_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["demo", "--seconds", "3", "--json", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let output = run(folder.path(), &arguments);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().expect("readings");
    assert!(last["total"]["produced"].as_u64().unwrap() > 100, "{last}");
    assert!(last["total"]["consumed"].as_u64().unwrap() > 100, "{last}");
    assert!(last["total"]["end_to_end"]["p50_ms"].as_f64().unwrap() > 0.0, "{last}");
    assert!(last["total"]["storage"]["requests"]["puts"].as_u64().unwrap() > 0, "{last}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn bench_measures_what_it_sent() {
    let dev = Dev::start(&[]);
    let report = json(&dev.run(&[
        "bench",
        "produce",
        "--json",
        "--rate",
        "512KiB",
        "--seconds",
        "2",
        "--warm-up",
        "0",
        "--batch-size",
        "16KiB",
    ]));
    assert_eq!(report["errors"], 0, "{report}");
    let records = report["records"].as_u64().unwrap();
    assert_eq!(records, 1024, "2 s of 512 KiB/s in records of 1 KiB: {report}");
    let report = json(&dev.run(&["bench", "consume", "--json"]));
    assert_eq!(report["records"].as_u64(), Some(records), "{report}");
    let report = json(&dev.run(&["bench", "e2e", "--json", "--rate", "50", "--seconds", "2", "--warm-up", "0"]));
    assert_eq!((report["errors"].as_u64(), report["records"].as_u64()), (Some(0), Some(100)), "{report}");
    let p50 = |index: usize| report["latencies"][index]["p50_ms"].as_f64().unwrap();
    assert!(p50(0) > 0.0 && p50(1) > 0.0, "{report}");
}

#[test]
fn what_a_share_consumer_could_not_print_is_not_accepted() {
    let dev = Dev::start(&[]);
    stdout(&dev.run(&["topic", "create", "jobs"]));
    stdout(&dev.run(&["share", "config", "crew", "--set", "share.auto.offset.reset=earliest"]));
    dev.produce(&["jobs"], b"one\ntwo\n");
    let arguments = ["share", "consume", "jobs", "-g", "crew", "-c", "2", "--timeout-ms", "60000"];
    let mut unread = dev.command(&arguments).stdout(Stdio::piped()).spawn().expect("the binary runs");
    drop(unread.stdout.take());
    assert!(unread.wait().expect("it ends").success());
    assert_eq!(stdout(&dev.run(&arguments)), "one\ntwo\n");
}

#[test]
fn share_groups_are_consumed_shown_moved_and_configured() {
    let dev = Dev::start(&[]);
    let http = dev.addresses["http"].as_str().expect("an address").to_owned();
    stdout(&dev.run(&["topic", "create", "jobs"]));
    let lines: String = (0..20).map(|number| format!("job-{number}\n")).collect();
    dev.produce(&["jobs"], lines.as_bytes());

    stdout(&dev.run(&["share", "config", "crew", "--set", "share.auto.offset.reset=earliest"]));
    let config = json(&dev.run(&["share", "config", "crew", "--json"]));
    let reset = config.as_array().unwrap().iter().find(|row| row["name"] == "share.auto.offset.reset").unwrap();
    assert_eq!((reset["value"].as_str(), reset["source"].as_str()), (Some("earliest"), Some("group")));
    assert!(config.as_array().unwrap().iter().all(|row| row["doc"].as_str().is_some_and(|doc| !doc.is_empty())));
    assert_eq!(dev.run(&["share", "config", "crew", "--set", "share.no.such=1"]).status.code(), Some(1));

    let consume = |more: &[&str]| {
        let arguments = [&["share", "consume", "jobs", "-g", "crew", "--timeout-ms", "60000"], more].concat();
        stdout(&dev.run(&arguments))
    };
    let first = consume(&["--max-messages", "5"]);
    assert_eq!(first, lines.lines().take(5).map(|line| format!("{line}\n")).collect::<String>());
    let given_back = consume(&["--max-messages", "2", "--release", "--json"]);
    let offsets: Vec<Value> = given_back.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((offsets[0]["offset"].as_i64(), offsets[1]["offset"].as_i64()), (Some(5), Some(6)));

    assert_eq!(json(&dev.run(&["share", "list", "--json"]))[0]["group"], "crew");
    assert_eq!(json(&dev.run(&["share", "list", "--json", "--state", "Stable"])), Value::Array(Vec::new()));
    let described = json(&dev.run(&["share", "describe", "crew", "--json", "--http", &http]));
    assert_eq!((described[0]["start_offset"].as_i64(), described[0]["lag"].as_i64()), (Some(5), Some(15)));
    assert_eq!(described[0]["in_flight"].as_i64(), Some(0), "all was acknowledged or given back: {described}");
    let described = dev.run(&["share", "describe", "crew", "--http", "none"]);
    assert!(stdout(&described).lines().all(|line| line.split_whitespace().count() == 9), "{described:?}");
    let note = String::from_utf8_lossy(&described.stderr);
    assert!(note.contains("IN-FLIGHT") && note.contains("--http none asks no agent"), "{note}");
    assert!(stdout(&dev.run(&["share", "describe", "crew", "--state"])).contains("Empty"));
    let peeked = json(&dev.run(&["share", "peek", "crew", "jobs", "-c", "1", "--json", "--http", &http]));
    assert_eq!((peeked[0]["offset"].as_i64(), peeked[0]["value"].as_str()), (Some(5), Some("job-5")));

    assert_eq!(consume(&["-c", "15"]).lines().count(), 15);
    let planned = json(&dev.run(&["share", "reset", "crew", "--to-earliest", "--all-topics", "--json"]));
    assert_eq!(planned[0]["new_offset"].as_i64(), Some(0));
    let described = json(&dev.run(&["share", "describe", "crew", "--json", "--http", "none"]));
    assert_eq!(described[0]["start_offset"].as_i64(), Some(20), "a plan moves nothing");
    stdout(&dev.run(&["share", "reset", "crew", "--to-offset", "18", "--topic", "jobs", "--execute"]));
    assert_eq!(consume(&["-c", "2"]), "job-18\njob-19\n");
    assert!(stdout(&dev.run(&["share", "release", "crew", "--execute"])).contains("jobs"));
    assert_eq!(dev.run(&["share", "describe", "nobody"]).status.code(), Some(1));
    let no_group = dev.run(&["share", "peek", "nobody", "jobs"]);
    assert!(String::from_utf8_lossy(&no_group.stderr).contains("'nobody' does not exist"), "{no_group:?}");
    let no_topic = dev.run(&["share", "peek", "crew", "nothing"]);
    let told = String::from_utf8_lossy(&no_topic.stderr);
    assert!(told.contains("'nothing'") && told.contains("topic list") && !told.contains("create"), "{told}");
    assert_eq!(dev.run(&["share", "list", "--state", "Full"]).status.code(), Some(2), "no such state");
    let plan = dev.run(&["share", "reset", "crew", "--to-earliest", "--all-topics"]);
    assert!(String::from_utf8_lossy(&plan.stderr).contains("--execute does it"), "{plan:?}");

    let mut member = dev.command(&["share", "consume", "jobs", "-g", "crew"]);
    let mut member = member.stdout(Stdio::null()).spawn().expect("the binary runs");
    let is_in = || json(&dev.run(&["share", "describe", "crew", "--members", "--json"])).as_array().unwrap().len() == 1;
    assert!((0..1_000).any(|_| is_in()), "it joins");
    let plan = dev.run(&["share", "reset", "crew", "--to-earliest", "--all-topics"]);
    assert!(plan.status.success());
    assert!(String::from_utf8_lossy(&plan.stderr).contains("--execute refuses"), "{plan:?}");
    let refused = dev.run(&["share", "reset", "crew", "--to-earliest", "--all-topics", "--execute"]);
    assert_eq!(refused.status.code(), Some(1));
    member.kill().expect("it runs");
    member.wait().expect("it ends");
}

#[test]
fn dead_letters_go_back_once() {
    let dev = Dev::start(&[]);
    stdout(&dev.run(&["topic", "create", "jobs"]));
    stdout(&dev.run(&["topic", "create", "dlq.crew", "-c", "errors.deadletterqueue.group.enable=true"]));
    let set = ["share.auto.offset.reset=earliest", "errors.deadletterqueue.topic.name=dlq.crew"];
    let set = [&["share", "config", "crew", "--set"], &set[..], &["errors.deadletterqueue.copy.record.enable=true"]];
    stdout(&dev.run(&set.concat()));
    dev.produce(&["jobs", "-K", ":", "-H", "source=test"], b"a:one\nb:two\nc:three\n");
    let consume = |more: &[&str]| {
        let arguments = [&["share", "consume", "jobs", "-g", "crew", "--timeout-ms", "60000"], more].concat();
        stdout(&dev.run(&arguments))
    };
    assert_eq!(consume(&["-c", "2", "--reject"]), "one\ntwo\n");
    assert_eq!(consume(&["-c", "1"]), "three\n");

    let redrive =
        |more: &[&str]| json(&dev.run(&[&["share", "redrive", "crew", "--from", "dlq.crew", "--json"], more].concat()));
    assert_eq!(redrive(&["--dry-run"])["redriven"]["jobs"].as_u64(), Some(2));
    let nowhere = dev.run(&["share", "redrive", "crew", "--from", "dlq.crew", "--to", "nothing", "--dry-run"]);
    assert_eq!(nowhere.status.code(), Some(1), "a dry run finds what would fail: {nowhere:?}");
    let told = String::from_utf8_lossy(&nowhere.stderr);
    assert!(told.contains("'nothing'") && !told.contains("create"), "{told}");
    assert_eq!(redrive(&["--max", "1"])["redriven"]["jobs"].as_u64(), Some(1));
    assert_eq!(redrive(&[])["redriven"]["jobs"].as_u64(), Some(1));
    assert_eq!(redrive(&[])["redriven"], serde_json::json!({}), "what was redriven is not redriven again");
    assert_eq!(
        consume(&["-c", "2", "-f", "%k:%v %h\\n"]),
        "a:one \nb:two \n",
        "letters copy keys and values, no headers"
    );
}

#[test]
fn bench_counts_lost_and_doubled_deliveries() {
    let dev = Dev::start(&[]);
    for ack in ["implicit", "explicit"] {
        let arguments = ["bench", "share", "--json", "--rate", "200", "--seconds", "2", "--ack", ack];
        let report = json(&dev.run(&arguments));
        let count = |name: &str| report[name].as_u64();
        assert_eq!(
            (count("produced"), count("records"), count("accepted")),
            (Some(400), Some(400), Some(400)),
            "{report}"
        );
        assert_eq!((count("lost"), count("doubled"), count("errors")), (Some(0), Some(0), Some(0)), "{report}");
        assert!(report["latency"]["p50_ms"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert_eq!(json(&dev.run(&["share", "list", "--json"])), Value::Array(Vec::new()), "its groups are gone");
}

#[test]
fn doctor_examines_a_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = format!("file://{}/store", folder.path().display());
    let diagnosis = json(&run(folder.path(), &["doctor", "--json", "--store", &store, "--samples", "3"]));
    let findings = diagnosis["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["verdict"] != "fail"), "{findings:?}");
    assert!(findings.iter().any(|finding| finding["check"] == "conditional PUT" && finding["verdict"] == "ok"));
    assert_eq!(diagnosis["bill"]["lines"].as_array().unwrap().len(), 3);
}

#[test]
fn settings_have_sources_and_slips_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("towpath.toml");
    std::fs::write(&file, "[log]\nlinger_busy_ms = 100\nputs_burst = 7\n").expect("written");
    let shown = json(
        &towpath(folder.path(), &["config", "show", "log", "--changed", "--json", "--set", "log.uploads_max=3"])
            .env("TOWPATH_CONFIG", &file)
            .env("TOWPATH_LOG__PUTS_BURST", "9")
            .output()
            .expect("the binary runs"),
    );
    let seen: Vec<(&str, &Value, &str)> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["key"].as_str().unwrap(), &row["value"], row["origin"]["source"].as_str().unwrap()))
        .collect();
    let number = |value: f64| Value::from(value);
    assert_eq!(seen[0], ("log.linger_busy_ms", &Value::from(100), "file"));
    assert_eq!(seen[1], ("log.puts_burst", &number(9.0), "environment"));
    assert_eq!(seen[2], ("log.uploads_max", &Value::from(3), "flag"));

    let output = run(folder.path(), &["config", "show", "--set", "log.linger_bussy_ms=1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean 'log.linger_busy_ms'?"));
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), complaint)
    };
    assert_eq!(code(&["--help"]).0, Some(0));
    assert_eq!(code(&["frobnicate"]).0, Some(2));
    assert_eq!(code(&["topic", "list", "-b", "127.0.0.1:1"]).0, Some(3));
    let (exit, complaint) = code(&["agent"]);
    assert_eq!(exit, Some(2));
    assert!(complaint.contains("--store") && !complaint.contains("panicked"), "{complaint}");
    let (exit, complaint) = code(&["agent", "--store", "ftp://x/y"]);
    assert_eq!(exit, Some(2), "{complaint}");

    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("an address").to_string();
    let (exit, complaint) = code(&["agent", "--store", "memory:", "--listen", &address]);
    assert_eq!(exit, Some(1), "{complaint}");
    assert!(complaint.contains("--listen"), "{complaint}");
}
