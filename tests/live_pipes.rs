//! Pipes at both ends of a watch: standard input as a source, and events that are followed by who reads late or never.

use std::fs;
use std::io::{self, BufRead, BufReader, PipeWriter, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::common::kube_api::{KubeApi, kubeconfig_file, pod};
use crate::common::meshwhy;
use crate::live::Running;
use crate::schema::validator;

/// Nothing takes so long that does not hang, on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(20);

/// What istiod prints where it cannot read a remote cluster.
fn unreachable(remote: &str) -> String {
    format!(
        "{:.6}\terror\twatch error in cluster {remote}: failed to list *v1.Pod: Get \
         \"https://10.64.3.2:443/api/v1/pods?limit=500\": dial tcp 10.64.3.2:443: i/o timeout\n",
        Timestamp::now()
    )
}

fn say(stdin: &mut ChildStdin, text: &str) {
    stdin.write_all(text.as_bytes()).expect("it is read");
}

/// The program, reading from a pipe.
fn piped(command: &mut Command) -> (Running, ChildStdin) {
    let mut tail = Running::start(command.stdin(Stdio::piped()));
    let stdin = tail.stdin();
    (tail, stdin)
}

#[test]
fn causes_are_named_while_standard_input_is_open_and_its_end_ends_a_watch_of_it_alone() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let tape = folder.path().join("incident.tape");
    let (mut tail, mut stdin) =
        piped(meshwhy().args(["tail", "-", "--cluster=east=-", "--output=ndjson", "--record"]).arg(&tape));
    say(&mut stdin, &unreachable("west"));
    let mut printed = tail.up_to("remote-api-unreachable");
    assert!(printed[0].contains(r#""clusters":["east""#), "{printed:?}");
    say(&mut stdin, unreachable("north").trim_end());
    drop(stdin);
    printed.extend(tail.rest());
    assert_eq!(tail.code(), Some(1));
    let summary = printed.last().expect("there is one");
    assert!(summary.contains(r#""files":1,"#) && summary.contains(r#""lines":2,"#), "{summary}");
    assert!(printed.iter().any(|line| line.contains("north")), "the last line counts without its end: {printed:?}");

    let replayed = meshwhy().args(["replay", "--output=ndjson"]).arg(&tape).output().expect("the program starts");
    assert_eq!(String::from_utf8_lossy(&replayed.stdout), printed.join("\n") + "\n");
}

#[test]
fn a_document_on_standard_input_is_read_whole() {
    let (mut tail, mut stdin) = piped(meshwhy().args(["tail", "-", "--output=ndjson"]));
    say(&mut stdin, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: istio-system\n");
    drop(stdin);
    let summary = tail.rest().pop().expect("there is one");
    assert!(summary.contains(r#""documents":1,"#) && summary.contains(r#""losses":[]"#), "{summary}");
    assert_eq!(tail.code(), Some(0));
}

#[test]
fn a_followed_file_goes_on_where_standard_input_beside_it_ends() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let place = folder.path().join("east/istio-system/istiod-1");
    fs::create_dir_all(&place).expect("folders can be made");
    let path = place.join("discovery.log");
    fs::write(&path, unreachable("west")).expect("it can be written");
    let (mut tail, mut stdin) =
        piped(meshwhy().args(["tail", "-", "--cluster=west=-", "--output=ndjson"]).arg(folder.path()));
    tail.until(r#""clusters":["east""#);
    say(&mut stdin, &unreachable("north"));
    tail.until("istiod of west cannot reach");
    drop(stdin);
    let mut file = fs::OpenOptions::new().append(true).open(&path).expect("it can be written");
    file.write_all(unreachable("south").as_bytes()).expect("it can be written");
    tail.until("south");
    let summary = tail.interrupt().pop().expect("there is one");
    assert!(summary.contains(r#""files":2,"#) && summary.contains(r#""lines":3,"#), "{summary}");
    assert_eq!(tail.code(), Some(1));
}

#[test]
fn standard_input_is_of_the_only_cluster_that_is_watched_beside_it() {
    let east = KubeApi::start("east");
    east.apply(pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]));
    let config = kubeconfig_file(&[&east]);
    let args = ["tail", "-", "--context=east", "--output=ndjson", "--kubeconfig"];
    let (mut tail, mut stdin) = piped(meshwhy().args(args).arg(config.path()).stderr(Stdio::null()));
    say(&mut stdin, &unreachable("west"));
    tail.until(r#""clusters":["east""#);
    drop(stdin);
    let log = |line: &str| east.log("istio-system", "istiod-1", "discovery", line.trim_end());
    east.wait_for("get pods/log", 1);
    log(&unreachable("north"));
    tail.until("north");
    tail.interrupt();
    assert_eq!(tail.code(), Some(1));
}

/// Less than what a reader is waited for after an interrupt.
const HELD_UP: Duration = Duration::from_millis(500);

/// How long nothing more fits into a pipe that is full.
const FULL_AFTER: Duration = Duration::from_secs(1);

/// The program, to follow events of standard input into this.
fn following(format: &str, stdout: PipeWriter) -> Command {
    let mut command = meshwhy();
    command.args(["tail", "-", "--cluster=east=-", "--follow-events", format]).stdin(Stdio::piped()).stdout(stdout);
    command
}

fn begun(command: &mut Command) -> (Child, ChildStdin) {
    let mut child = command.spawn().expect("it starts");
    let stdin = child.stdin.take().expect("it was asked for");
    (child, stdin)
}

/// More than pipes hold, in a thread of its own, as it takes as long as the program takes to read it.
fn say_much(mut stdin: ChildStdin) -> thread::JoinHandle<ChildStdin> {
    thread::spawn(move || {
        let text: String = (0..MANY).map(|number| unreachable(&format!("c{number}"))).collect();
        // Where it ends first, it need not be read.
        let _ = stdin.write_all(text.as_bytes());
        stdin
    })
}

/// Lines whose records are many times more than a pipe holds.
const MANY: usize = 1_500;

#[test]
fn events_are_followed_with_their_cluster_and_without_what_is_as_usual() {
    let (stdout, writer) = io::pipe().expect("a pipe can be made");
    let (mut child, mut stdin) = begun(&mut following("--output=text", writer));
    let mut stdout = BufReader::new(stdout);
    say(&mut stdin, "2026-03-01T09:30:00.000000Z\tinfo\tads\tPush Status: {}\n");
    say(&mut stdin, "2026-03-01T09:30:00.000000Z\terror\tthe frobnicator lost 12 widgets\n");
    say(&mut stdin, "2026-03-01T09:30:01.000000Z\terror\tremote cluster w\u{202e}est failed to sync after 30s\n");
    let mut first = String::new();
    stdout.read_line(&mut first).expect("UTF-8");
    assert_eq!(first, "east -  2026-03-01T09:30:01.000Z error remote cluster w\\u{202e}est failed to sync after 30s\n");
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("UTF-8");
    assert!(!rest.contains("\neast -  "), "{rest}");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn followed_events_that_are_read_late_all_arrive_in_order_as_records_of_the_schema() {
    let (stdout, writer) = io::pipe().expect("a pipe can be made");
    let (mut child, stdin) = begun(&mut following("--output=ndjson", writer));
    drop(say_much(stdin).join().expect("it writes"));
    let validator = validator();
    let mut numbers = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let record: Value = serde_json::from_str(&line.expect("UTF-8")).expect("a record");
        if record["type"] == "event" {
            let number = record["fields"]["remote_cluster"].as_str().expect("it names one").trim_start_matches('c');
            numbers.push(number.parse::<usize>().expect("a number"));
            assert!(validator.is_valid(&record), "{record}");
            assert_eq!(record["origin"]["cluster"], "east");
        }
    }
    assert_eq!(numbers, (0..MANY).collect::<Vec<_>>());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn an_interrupt_ends_a_watch_whose_output_nobody_reads_with_the_usual_exit_code() {
    let (reader, mut writer) = io::pipe().expect("a pipe can be made");
    let shared = || writer.try_clone().expect("it can be shared");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = following("--output=ndjson", shared());
    let (mut child, mut stdin) = begun(command.arg(folder.path()).stderr(shared()));
    drop(command);
    say(&mut stdin, &unreachable("west"));
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    while !line.contains("remote-api-unreachable/") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).expect("UTF-8"), 0, "it goes on");
    }
    // From now on nobody reads, and the pipe is filled up.
    let (to, filled) = mpsc::channel();
    thread::spawn(move || while writer.write_all(&[b'\n'; 1 << 10]).is_ok() && to.send(()).is_ok() {});
    while filled.recv_timeout(FULL_AFTER).is_ok() {}
    say(&mut stdin, &unreachable("north"));
    // What is lost is told by the same pipe.
    fs::write(folder.path().join("istiod.log.gz"), b"\x1f\x8b\x08\0").expect("it can be written");

    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it can be told").success());
    let since = Instant::now();
    while child.try_wait().expect("it can be asked").is_none() {
        assert!(since.elapsed() < LONG, "it hangs");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(child.wait().expect("it ended").code(), Some(1));
    assert!(HELD_UP < since.elapsed(), "it waited for a reader");
    drop((stdin, reader));
}
