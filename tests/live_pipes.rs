//! Standard input as a source of a watch.

use std::fs;
use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};

use k8s_openapi::jiff::Timestamp;

use crate::common::kube_api::{KubeApi, kubeconfig_file, pod};
use crate::common::meshwhy;
use crate::live::Running;

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
