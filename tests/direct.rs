//! Admin and debug endpoints at addresses that a person names, without any API server.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::common::{meshwhy, root};

/// Paths that were asked for.
type Asked = Arc<Mutex<Vec<String>>>;

/// What a folder of a sample holds, served as an istiod or a proxy does, one answer for each connection.
fn answer(mut stream: impl Read + Write, folder: &str, asked: &Asked) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("").to_string();
    asked.lock().expect("no thread panics while it holds this").push(path.clone());
    let endpoint = path.split('?').next().unwrap_or("");
    let file = root().join("samples").join(format!("{folder}{endpoint}.json"));
    let (status, body) = fs::read(file).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    // A client that leaves early is its own business.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn serve(folder: &'static str) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let asked = Asked::default();
    let told = Arc::clone(&asked);
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, folder, &told)));
    (address, asked)
}

/// An istiod of tokyo that does not reach another cluster.
const ISTIOD: &str = "state-remote-cluster-timeout/input/tokyo/istio-system/istiod-29zf89kf6-5gzpf";

fn findings(run: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let records = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    records.filter(|record| record["type"] == "finding").map(|record| record["cause"].to_string()).collect()
}

#[test]
fn an_istiod_at_an_address_is_asked_by_check_and_only_for_what_reads() {
    let (address, asked) = serve(ISTIOD);
    let flag = format!("--istiod-debug=tokyo=http://{address}");
    let run = meshwhy().args(["check", "--output=ndjson", &flag]).output().expect("the program starts");
    assert_eq!(run.status.code(), Some(1), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(findings(&run).contains(&"\"remote-api-unreachable\"".to_string()), "{:?}", findings(&run));
    let asked = asked.lock().expect("no thread panics while it holds this").clone();
    assert!(asked.contains(&"/debug/clusterz".to_string()), "{asked:?}");
    assert!(
        asked.iter().all(|path| path == "/version" || path.starts_with("/debug/") && !path.contains('?')),
        "{asked:?}"
    );
}

#[test]
fn a_ztunnel_at_an_address_is_asked_for_its_dump_alone() {
    let (address, asked) = serve("ambient-pod-gone/input/lisbon/istio-system/ztunnel-4kq8z");
    let flag = format!("--ztunnel-admin=lisbon/istio-system/ztunnel-4kq8z=http://{address}");
    let run = meshwhy().args(["check", "--output=ndjson", &flag]).output().expect("the program starts");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(*asked.lock().expect("no thread panics while it holds this"), ["/config_dump"]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let summary = said.lines().last().expect("there is a summary");
    assert!(summary.contains(r#""documents":1,"#), "{summary}");
    assert!(!summary.contains("not read"), "{summary}");
}

#[test]
fn tail_asks_an_address_over_a_socket_of_the_machine() {
    let place = tempfile::tempdir().expect("a folder can be made");
    let path = place.path().join("istiod.sock");
    let listener = UnixListener::bind(&path).expect("it can be bound");
    let asked = Asked::default();
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, ISTIOD, &asked)));
    let mut tail = meshwhy()
        .args(["tail", "--output=ndjson"])
        .arg(format!("--istiod-debug=tokyo=unix://{}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(tail.stdout.take().expect("it was asked for")).lines();
    let found = lines.map_while(Result::ok).find(|line| line.contains("remote-api-unreachable"));
    let _ = tail.kill();
    let _ = tail.wait();
    assert!(found.is_some(), "it is named");
}

#[test]
fn an_address_that_does_not_answer_is_said() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound");
    let run = meshwhy().args(["check", &format!("--envoy-admin=http://{closed}")]).output().expect("it starts");
    let error = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(2), "{error}");
    assert!(error.contains(&format!("cannot reach {closed}")), "{error}");
    let run = meshwhy().args(["check", "--envoy-admin=https://127.0.0.1:15000"]).output().expect("it starts");
    let error = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(2), "{error}");
    assert!(error.contains("hint: "), "{error}");
}
