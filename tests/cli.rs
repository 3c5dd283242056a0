//! The program as its user meets it: flags, exit codes, errors, colours, pipes.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use expect_test::expect;
use serde_json::Value;

use crate::common::{meshwhy, meshwhy_reading};

const HEALTHY: &[u8] = b"2026-03-01T09:30:00.000000Z\tinfo\tall is well\n";
const SLOW: &[u8] = b"2026-03-01T09:30:00.000000Z\tinfo\tpayment eu-1 timed out after 5s\n\
2026-03-01T09:30:01.000000Z\tinfo\tpayment eu-1 timed out after 7s\n";

/// A file of signatures that name what [`SLOW`] says, as an error.
fn signatures() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(
        file.path(),
        r#"
[[signature]]
name = "payment-slow"
regex = 'payment (?<service>\S+) timed out after (?<seconds>\d+)s'
subject = "service"
count = 2
within = "1m"
severity = "error"
summary = "{service} does not answer within {seconds} s"
remedy = "Ask the owners of {service}."
verify = "curl -sf https://status.example.com/{service}"
positive = ["payment eu-1 timed out after 5s"]
negative = ["payment eu-1 answered after 1s"]
"#,
    )
    .expect("it can be written");
    file
}

fn run(args: &[&str]) -> Output {
    meshwhy().args(args).output().expect("the program starts")
}

fn slow(args: &[&str]) -> Output {
    let file = signatures();
    let mut all = vec!["replay", "--signatures", file.path().to_str().expect("UTF-8"), "-"];
    all.extend(args);
    meshwhy_reading(SLOW, &all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_signature_of_the_users_own_goes_all_the_way() {
    let run = slow(&["--output", "ndjson"]);
    let last = text(&run.stdout);
    let summary: Value = serde_json::from_str(last.lines().last().expect("a summary")).expect("a record");
    assert_eq!(summary["causes"], serde_json::json!(["user:payment-slow"]));
    assert_eq!(run.status.code(), Some(1));
    expect![[r#"
        opened user:payment-slow: eu-1 does not answer within 7 s

        1. user:payment-slow  error, certain
           eu-1 does not answer within 7 s

           subject   eu-1
           clusters  this-cluster
           when      2026-03-01T09:30:01Z, 1 time
           because   said first
                       -:1
                       2026-03-01T09:30:00.000000Z info payment eu-1 timed out after 5s
                     said as often as the signature asks for
                       -:2
                       2026-03-01T09:30:01.000000Z info payment eu-1 timed out after 7s
           do        Ask the owners of eu-1.
           verify    curl -sf https://status.example.com/eu-1

        read 2 lines of 1 file, 2026-03-01T09:30:00Z to 09:30:01Z (1 s): 2 understood, 0 not
    "#]]
    .assert_eq(&text(&slow(&[]).stdout));
}

#[test]
fn the_exit_code_tells_the_same_in_every_format() {
    for format in ["text", "ndjson"] {
        let code = |run: Output| run.status.code();
        assert_eq!(code(meshwhy_reading(HEALTHY, &["replay", "--output", format, "-"])), Some(0), "{format}");
        assert_eq!(code(slow(&["--output", format])), Some(1), "{format}");
        assert_eq!(code(slow(&["--output", format, "--fail-on", "critical"])), Some(0), "{format}");
        assert_eq!(code(slow(&["--output", format, "--fail-on", "never"])), Some(0), "{format}");
        assert_eq!(code(run(&["replay", "--output", format, "no/such/file"])), Some(2), "{format}");
    }
    assert_eq!(run(&["replay"]).status.code(), Some(2), "no path");
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2), "no such command");
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn healthy_logs_are_answered_with_one_line() {
    let run = meshwhy_reading(HEALTHY, &["replay", "-"]);
    assert_eq!(text(&run.stdout).lines().next(), Some("nothing to fix found"));
}

#[test]
fn errors_say_what_was_tried_and_what_to_try_next() {
    for (args, wanted) in [
        (&["replay", "no/such/file"][..], "no/such/file"),
        (&["replay", "--since", "10w", "-"], "cannot read --since \"10w\" as a time\nhint: "),
        (&["replay", "--until", "yesterday", "-"], "cannot read --until \"yesterday\" as a time\nhint: "),
        (&["replay", "--cluster", "west", "-"], "cannot read --cluster \"west\"\nhint: "),
        (&["replay", "--only", "transient-recoverd", "-"], "did you mean \"transient-recovered\"?"),
        (&["replay", "--disable", "zzz", "-"], "`meshwhy causes` lists them all"),
        (&["replay", "--signatures", "no/such/file", "-"], "cannot read signatures no/such/file: "),
        (&["explain", "transient-recoverd"], "did you mean \"transient-recovered\"?"),
        (&["explain", "--line", ""], "cannot explain an empty line\nhint: "),
    ] {
        let run = run(args);
        let stderr = text(&run.stderr);
        assert_eq!(run.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(wanted), "{args:?}: {stderr}");
        assert!(run.stdout.is_empty(), "{args:?}: {}", text(&run.stdout));
    }
}

#[test]
fn one_line_a_finding_where_quiet_is_asked_for() {
    assert_eq!(text(&slow(&["--quiet"]).stdout), "user:payment-slow: eu-1 does not answer within 7 s\n");
    assert_eq!(text(&slow(&["--quiet", "--output", "ndjson"]).stdout).lines().count(), 1);
    assert!(meshwhy_reading(HEALTHY, &["replay", "--quiet", "-"]).stdout.is_empty());
}

#[test]
fn causes_can_be_chosen_and_left_out() {
    assert_eq!(slow(&["--disable", "user:payment-slow"]).status.code(), Some(0));
    assert_eq!(slow(&["--only", "user:payment-slow"]).status.code(), Some(1));
    assert_eq!(slow(&["--only", "transient-recovered"]).status.code(), Some(0));
}

#[test]
fn lines_outside_the_time_asked_for_are_left_out() {
    assert_eq!(slow(&["--since", "2026-03-01T09:30:00.5Z"]).status.code(), Some(0));
    assert_eq!(slow(&["--until", "2026-03-01T10:30:00.5+01:00"]).status.code(), Some(0));
    assert_eq!(slow(&["--since", "2026-03-01T09:29:00Z", "--until", "2026-03-01T09:31:00Z"]).status.code(), Some(1));
}

#[test]
fn colours_only_where_they_are_wanted() {
    let escape = "\u{1b}[";
    assert!(!text(&slow(&[]).stdout).contains(escape), "no terminal, no colour");
    assert!(text(&slow(&["--color", "always"]).stdout).contains(escape));
    assert!(!text(&slow(&["--color", "never"]).stdout).contains(escape));
}

#[test]
fn nothing_of_an_untrusted_line_reaches_the_terminal_as_a_command() {
    let file = signatures();
    let path = file.path().to_str().expect("UTF-8");
    let line =
        "2026-03-01T09:30:00Z\tinfo\tpayment e\u{1b}[2J\u{202e}u timed out after 5s token=abcdef0123456789abcdef\n";
    let input = line.repeat(2);
    for format in ["text", "ndjson"] {
        let run =
            meshwhy_reading(input.as_bytes(), &["replay", "--output", format, "--events", "--signatures", path, "-"]);
        let said = text(&run.stdout);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{format}: {said}");
        assert!(!said.contains("abcdef0123456789"), "{format}: {said}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = meshwhy()
        .args(["causes", "--output", "ndjson"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Gone before anything is written, or while it is: both must be quiet.
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("it was asked for").read_to_string(&mut stderr).expect("UTF-8");
    let status = child.wait().expect("the program ends");
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn every_cause_has_a_page() {
    let listed = text(&run(&["causes"]).stdout);
    for cause in meshwhy::causes::ALL {
        assert!(listed.contains(cause.slug), "{} is not listed", cause.slug);
        let page = run(&["explain", cause.slug]);
        assert_eq!(page.status.code(), Some(0), "{}", cause.slug);
        assert!(text(&page.stdout).contains("What happens"), "{}", cause.slug);
    }
}

#[test]
fn a_pasted_line_is_explained() {
    let line = "2026-03-01T09:30:00.000000Z\terror\tads\tthe frobnicator lost 12 widgets";
    expect![[r#"
        line        no signature knows this line
        format      time, level and message in columns; scope ads
        template    the frobnicator lost # widgets
                    if it matters to you, write a signature of your own: `meshwhy signatures check --help`
        time        2026-03-01T09:30:00.000Z
        level       error
    "#]]
    .assert_eq(&text(&run(&["explain", "--line", line]).stdout));
}

#[test]
fn signatures_are_checked_with_their_examples() {
    let good = signatures();
    let checked = run(&["signatures", "check", good.path().to_str().expect("UTF-8")]);
    assert_eq!(
        (checked.status.code(), text(&checked.stdout)),
        (Some(0), "1 signature, all examples hold: payment-slow\n".to_string())
    );
    let bad = signatures();
    let text_of = std::fs::read_to_string(bad.path()).expect("readable").replace("answered", "timed out");
    std::fs::write(bad.path(), text_of).expect("writable");
    let checked = run(&["signatures", "check", bad.path().to_str().expect("UTF-8")]);
    let stderr = text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(2));
    assert!(stderr.contains("line 13: \"payment-slow\" knows its negative example"), "{stderr}");
}

#[test]
fn the_signature_shown_in_the_help_is_one() {
    let help = text(&run(&["signatures", "check", "--help"]).stdout);
    let from = help.find("[[signature]]").expect("it shows one");
    let until = help.find("Exit code").expect("it ends");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &help[from..until]).expect("writable");
    let checked = run(&["signatures", "check", file.path().to_str().expect("UTF-8")]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn shells_and_man_get_what_they_read() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.status.code(), Some(0), "{shell}");
        assert!(text(&script.stdout).contains("fail-on"), "{shell}");
    }
    assert!(text(&run(&["man"]).stdout).contains(".TH meshwhy 1"));
    let page = text(&run(&["man", "replay"]).stdout);
    assert!(page.contains(".TH meshwhy-replay 1") && page.contains("fail\\-on"), "{page}");
}

#[test]
fn every_help_shows_an_example() {
    for command in [
        &["replay"][..],
        &["causes"],
        &["explain"],
        &["signatures", "check"],
        &["completions"],
        &["man"],
        &["schema"],
        &[],
    ] {
        let mut args = command.to_vec();
        args.push("--help");
        let help = text(&run(&args).stdout);
        assert!(help.contains("Example") || help.contains("[[signature]]"), "{command:?}: {help}");
    }
}

#[test]
fn a_folder_and_a_file_in_it_are_both_inputs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file: PathBuf = folder.path().join("istiod.log");
    std::fs::write(&file, HEALTHY).expect("writable");
    for path in [folder.path(), &file] {
        let run = run(&["replay", path.to_str().expect("UTF-8")]);
        assert!(text(&run.stdout).contains("read 1 line of 1 file"), "{}", text(&run.stdout));
    }
}
