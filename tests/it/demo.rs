//! `tandem demo`, as a user runs it: the built binary, real sockets, real files.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tandem_simulator::Log;

/// Two duplicates, two bad numbers, one on the do-not-call list, one toll-free number that is of no place.
const CONTACTS: &str = "\
phone,first_name,timezone
+12125550100,Ada,
(617) 555-0101,Bruno,
215-555-0102,Carmen,
305.555.0104,Elif,
8135550105,Farid,
+18505550106,Grace,
(404) 555-0107,Hiro,America/Los_Angeles
704-555-0108,Ines,
1 804 555 0109,Jonas,
410.555.0110,Keiko,
2025550111,Liam,
+16145550112,Mona,
(313) 555-0113,Nils,
906-555-0114,Olga,
+442079460001,Priya,
+1 212 555 0100,Ada again,
(617) 5550101,Bruno again,
555-CALL-NOW,Vanity,
12,Short,
(412) 555-0103,Do Not Call,
+18005550199,Toll Free,
";

fn tandem(args: &[&str], temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(args).env("TMPDIR", temporary).env_remove("TANDEM_SERVER").stdin(Stdio::null());
    command
}

fn run(args: &[&str], temporary: &Path) -> Output {
    tandem(args, temporary).output().expect("the binary runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number is expected, not {value}"))
}

fn sum(value: &Value) -> u64 {
    value.as_object().expect("an object of counts").values().map(number).sum()
}

#[test]
fn a_campaign_comes_to_its_end_and_everything_adds_up() {
    let directory = tempfile::tempdir().expect("a directory");
    let contacts = directory.path().join("contacts.csv");
    std::fs::write(&contacts, CONTACTS).expect("written");
    let data = directory.path().join("demo");
    let args = ["demo", "--json", "--seed", "3", "--contacts", text(&contacts), "--data-dir", text(&data)];
    let output = run(&args, directory.path());
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{progress}\n{}", String::from_utf8_lossy(&output.stdout));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object and nothing else");

    // Nobody is lost and nobody counted twice.
    assert_eq!(number(&told["contacts"]), 21, "{told}");
    assert_eq!(sum(&told["dispositions"]) + sum(&told["skipped"]), 21, "{told}");
    for (reason, count) in [("duplicate", 2), ("invalid", 2), ("do_not_call", 1), ("zone_unknown", 1)] {
        assert_eq!(number(&told["skipped"][reason]), count, "{reason} in {told}");
    }
    let lines: Vec<u64> =
        told["invalid_lines"].as_array().expect("a list").iter().map(|bad| number(&bad["line"])).collect();
    assert_eq!(lines, [19, 20]);

    // The carrier agrees.
    assert_eq!((number(&told["double_dials"]), number(&told["unsettled"])), (0, 0));
    assert_eq!(told["violations"], Value::Array(Vec::new()));
    assert_eq!(number(&told["carrier_posts"]), number(&told["attempts"]));
    assert!(number(&told["attempts"]) >= sum(&told["dispositions"]), "{told}");
    let carrier = Log::read(&data.join("carrier.jsonl")).expect("the carrier's log").summary;
    assert_eq!(carrier.posts, number(&told["carrier_posts"]));
    assert_eq!((carrier.double_dials, carrier.live_calls), (0, 0));
    let answered = sum(&told["answered_by"]);
    assert!(answered > 0 && answered <= carrier.answered, "{told} {carrier:?}");

    let ack = &told["command_ack_ms"];
    assert!(number(&ack["count"]) >= 400, "{ack}");
    let (p50, p99) = (ack["p50"].as_f64().expect("p50"), ack["p99"].as_f64().expect("p99"));
    assert!(p50 > 0.0 && p50 <= p99, "{ack}");
    assert!(told["simulated_speed"].as_f64() > Some(1.0) && told["calls_per_s"].as_f64() > Some(0.0));

    // Time is said to be simulated, and personal data are nowhere but in the data.
    assert!(progress.contains("simulated"), "{progress}");
    for seen in [progress.as_ref(), &told.to_string()] {
        assert!(!seen.contains("5550100") && !seen.contains("Carmen"), "{seen}");
    }
    // What is left is a whole configuration, which nobody else may read.
    use std::os::unix::fs::PermissionsExt as _;
    let settings = data.join("tandem.toml");
    assert_eq!(std::fs::metadata(&settings).expect("kept").permissions().mode() & 0o777, 0o600);

    // And no second run mixes with the first.
    let again = run(&args, directory.path());
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"));
}

#[test]
fn a_file_that_is_none_is_told_before_anything_is_started() {
    let directory = tempfile::tempdir().expect("a directory");
    let absent = directory.path().join("absent.csv");
    for file in [absent.as_path(), directory.path()] {
        let output = run(&["demo", "--contacts", text(file)], directory.path());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains(text(file)), "{output:?}");
    }
    let output = run(&["demo", "--speed", "0"], directory.path());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_file_that_holds_no_contacts_ends_it_with_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("workbook.csv");
    std::fs::write(&file, b"PK\x03\x04\x14\x00\x06\x00\x00\x00").expect("written");
    let output = run(&["demo", "--json", "--contacts", text(&file)], directory.path());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(output.stdout.is_empty() && told.contains("INVALID_FILE"), "{told}");
    assert!(told.contains(text(&file)), "{told}");
    let output = run(&["demo", "--data-dir", text(&file)], directory.path());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("is no directory"), "{told}");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    use std::io::{BufRead as _, BufReader};
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = tandem(&["demo"], directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let began = lines.by_ref().map_while(Result::ok).any(|line| line.contains("preflight"));
    assert!(began, "it ended before its campaign began: {:?}", child.wait());
    let kill =
        Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().expect("sh runs");
    assert!(kill.success());
    let last: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{last:?}");
    assert!(last.iter().any(|line| line.contains("interrupted")), "{last:?}");
    let left: Vec<_> = std::fs::read_dir(directory.path()).expect("listed").collect();
    assert!(left.is_empty(), "{left:?}");
}
