//! The tape: what was recorded says what the watch said, to the byte, and holds no secret.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use meshwhy_parsers::document::{self, Found};
use serde_json::json;

use crate::common::kube_api::{Close, Failure, KubeApi, kubeconfig, kubeconfig_file, pod};
use crate::common::{Random, base64, each, meshwhy, readable_samples, seed};
use crate::secrets::{KEY, PASSWORD, SIGNATURE, doors, pem, token};

/// Nothing here takes so long unless it is broken.
const LONG: Duration = Duration::from_secs(60);

/// A watch that is under way, with what it has printed so far.
struct Watch {
    child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Watch {
    fn start(args: &[&str], paths: &[&Path]) -> Watch {
        let mut command = meshwhy();
        command.arg("tail").args(args).args(paths).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let mut out = child.stdout.take().expect("it was asked for");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&printed);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut bytes) {
                into.lock().expect("nobody panics with it").extend_from_slice(&bytes[..length]);
            }
        });
        Watch { child, printed, reader: Some(reader) }
    }

    /// Waits until all of these were printed.
    fn until(&self, texts: &[&str]) {
        let end = Instant::now() + LONG;
        loop {
            let printed = String::from_utf8_lossy(&self.printed.lock().expect("nobody panics with it")).into_owned();
            if texts.iter().all(|text| printed.contains(text)) {
                return;
            }
            assert!(Instant::now() < end, "{texts:?} was not printed:\n{printed}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it; returns all that it printed.
    fn end(mut self) -> Vec<u8> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it can be told").success());
        self.reader.take().expect("it ends once").join().expect("reading does not panic");
        let code = self.child.wait().expect("it ends").code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
        std::mem::take(&mut *self.printed.lock().expect("nobody panics with it"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replay(tape: &Path, args: &[&str]) -> Output {
    meshwhy().arg("replay").args(args).arg(tape).output().expect("the program starts")
}

/// Fails where replaying a tape prints something else than the watch did.
fn assert_same(what: &str, live: &[u8], replayed: &Output) {
    let (live, said) = (String::from_utf8_lossy(live), String::from_utf8_lossy(&replayed.stdout));
    assert!(live == said, "{what}: live\n{live}\nreplayed\n{said}\n{}", String::from_utf8_lossy(&replayed.stderr));
}

/// The bytes of a tape, unpacked.
fn bytes_of(tape: &Path) -> Vec<u8> {
    let bytes = fs::read(tape).expect("it is there");
    match tape.extension().is_some_and(|extension| extension == "zst") {
        true => zstd::decode_all(&bytes[..]).expect("it is whole"),
        false => bytes,
    }
}

/// Fails where a piece of a secret stands in bytes, as it is or in base64, however often.
pub fn assert_silent(what: &str, bytes: &[u8]) {
    let mut texts = vec![(String::from_utf8_lossy(bytes).into_owned(), 0)];
    while let Some((text, depth)) = texts.pop() {
        for secret in [KEY, SIGNATURE, PASSWORD] {
            for piece in secret.as_bytes().windows(16).step_by(3) {
                let piece = std::str::from_utf8(piece).expect("secrets here are ASCII");
                assert!(!text.contains(piece), "{what} holds {piece:?} of a secret at depth {depth}");
            }
        }
        let is_coded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        let runs = text.split(|c| !is_coded(c)).filter(|run| 16 <= run.len() && depth < 4);
        let decoded: Vec<_> = runs.filter_map(|run| meshwhy_parsers::cert::base64(run.as_bytes())).collect();
        texts.extend(decoded.into_iter().map(|bytes| (String::from_utf8_lossy(&bytes).into_owned(), depth + 1)));
    }
}

/// A line of a remote cluster that cannot be reached, with a secret in it.
pub fn unreachable(address: &str) -> String {
    unreachable_cluster("west", address)
}

/// The same of a cluster of this name.
fn unreachable_cluster(cluster: &str, address: &str) -> String {
    format!(
        "{:.6}\terror\twatch error in cluster {cluster}: failed to list *v1.Pod: Get \"https://admin:{PASSWORD}@{address}:443/api/v1/pods?token={}\": dial tcp {address}:443: i/o timeout",
        Timestamp::now(),
        token()
    )
}

/// Two clusters in which much is wrong and much is secret.
pub fn clusters() -> (KubeApi, KubeApi) {
    let (east, west) = (KubeApi::start("east"), KubeApi::start("west"));
    for api in [&east, &west] {
        let mut istiod = pod("istio-system", "istiod-1", &[("app", "istiod")], &["discovery"]);
        istiod["spec"]["containers"][0]["env"] = json!([{"name": "DB_PASSWORD", "value": PASSWORD}]);
        istiod["spec"]["containers"][0]["args"] = json!(["discovery", "--token", SIGNATURE]);
        api.apply(istiod);
        let clusters = r#"[{"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"timeout"}]"#;
        api.serve("istio-system", "istiod-1", 15014, move |path| match path {
            "/debug/clusterz" => (200, clusters.to_string()),
            _ => (404, String::new()),
        });
        api.apply(pod("istio-system", "gateway-1", &[("istio", "eastwestgateway")], &["istio-proxy"]));
        let dump = doors().into_iter().find(|(name, _)| name.ends_with("config_dump.json")).expect("a dump").1;
        api.serve("istio-system", "gateway-1", 15000, move |path| match path {
            "/config_dump?include_eds" => (200, dump.clone()),
            _ => (404, String::new()),
        });
    }
    let config = kubeconfig(&[&west]).replace(&west.token(), &token());
    east.apply(json!({"apiVersion": "v1", "kind": "Secret", "data": {"west": base64(config.as_bytes())}, "metadata": {
        "name": "istio-remote-secret-west", "namespace": "istio-system", "labels": {"istio/multiCluster": "true"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":{{\"west\":\"{}\"}}}}", base64(config.as_bytes()))}}}));
    west.apply(json!({"apiVersion": "v1", "kind": "Secret", "data": {"ca-key.pem": base64(pem().as_bytes())},
        "metadata": {"name": "cacerts", "namespace": "istio-system"}}));
    (east, west)
}

#[test]
fn a_recorded_watch_replays_to_the_same_bytes_over_cuts_and_restarts() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for round in 0..3 {
        let seed = seed() + round;
        let mut random = Random(seed);
        let (east, west) = clusters();
        let config = kubeconfig_file(&[&east, &west]);
        let config = config.path().to_str().expect("it is text").to_string();
        let (format, name) = [("ndjson", "a.tape"), ("text", "b.tape.zst"), ("ndjson", "c.zst")][round as usize];
        let tape = folder.path().join(name);
        let record = tape.to_str().expect("it is text");
        let kubeconfig = format!("--kubeconfig={config}");
        let args =
            ["--context=east", "--context=west", &kubeconfig, "--output", format, "--color=never", "--record", record];
        let watch = Watch::start(&args, &[]);
        east.wait_for("get pods/log", 2);
        west.wait_for("get pods/log", 2);
        for number in 0..12 {
            let address = format!("10.64.{round}.{number}");
            east.log("istio-system", "istiod-1", "discovery", unreachable(&address));
            match random.below(6) {
                0 => drop(east.cut("get pods/log", Close::Reset)),
                1 => east.restart_container("istio-system", "istiod-1", "discovery"),
                2 => east.fail("get pods/log", 1, Failure::Status(500)),
                3 => east.expire_watches(),
                4 => {
                    west.apply(pod(
                        "istio-system",
                        &format!("ztunnel-{number}"),
                        &[("app", "ztunnel")],
                        &["istio-proxy"],
                    ));
                }
                _ => drop(west.cut("watch pods", Close::Unnotified)),
            }
        }
        east.log("istio-system", "istiod-1", "discovery", unreachable_cluster("north", "10.99.0.1"));
        watch.until(&["north at 10.99.0.1"]);
        let live = watch.end();
        for threads in ["1", "4"] {
            let again = replay(&tape, &["--output", format, "--color=never", "--threads", threads]);
            assert_same(&format!("seed {seed}, {name}"), &live, &again);
        }
        let bytes = bytes_of(&tape);
        assert_silent(&format!("the tape of seed {seed}"), &bytes);
        let text = String::from_utf8_lossy(&bytes);
        for kept in ["10.99.0.1", "\"document\":", "\"look\":", "istio-remote-secret-west", "\"over\":"] {
            assert!(text.contains(kept), "seed {seed}: {kept} is on the tape");
        }
    }
}

#[test]
fn files_that_are_followed_are_recorded_without_the_secrets_in_them() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in doors() {
        let path = folder.path().join("state").join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("folders can be made");
        fs::write(path, text).expect("files can be written");
    }
    let state = folder.path().join("state");
    let tape = folder.path().join("files.tape");
    let record = tape.to_str().expect("it is text");
    let watch = Watch::start(&["--output=ndjson", "--record", record], &[&state]);
    watch.until(&["remote-api-unreachable"]);
    let log = state.join("east/istio-system/istiod-1/discovery.log");
    let mut log = fs::OpenOptions::new().append(true).open(log).expect("it is there");
    writeln!(log, "{}", unreachable_cluster("north", "10.99.0.1")).expect("it can be written");
    watch.until(&["north at 10.99.0.1"]);
    let live = watch.end();
    assert_same("files", &live, &replay(&tape, &["--output=ndjson"]));
    assert_silent("the tape", &bytes_of(&tape));
    let mode = fs::metadata(&tape).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only its owner reads it");

    let again = meshwhy().args(["tail", "--record", record]).arg(&state).output().expect("the program starts");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2));
    assert!(said.contains("is there already") && said.contains("hint: "), "{said}");
}

#[test]
fn a_tape_that_is_cut_or_hostile_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let line = unreachable("10.64.3.2");
    let log = folder.path().join("east/istio-system/istiod-1/discovery.log");
    fs::create_dir_all(log.parent().expect("it has one")).expect("folders can be made");
    fs::write(&log, format!("{line}\n")).expect("it can be written");
    for name in ["a.tape", "a.tape.zst"] {
        let tape = folder.path().join(name);
        let watch = Watch::start(
            &["--output=ndjson", "--record", tape.to_str().expect("it is text")],
            &[&folder.path().join("east")],
        );
        watch.until(&["remote-api-unreachable"]);
        // What is compressed stands in the file from time to time.
        let end = Instant::now() + LONG;
        while fs::metadata(&tape).expect("it is there").len() < 200 {
            assert!(Instant::now() < end, "nothing is written");
            thread::sleep(Duration::from_millis(20));
        }
        watch.end();
        let whole = fs::read(&tape).expect("it is there");
        let cut = folder.path().join(format!("cut-{name}"));
        fs::write(&cut, &whole[..whole.len() - 12]).expect("it can be written");
        let said = replay(&cut, &["--output=ndjson"]);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(text.contains("remote-api-unreachable") && text.contains("ends in the middle"), "{text}");
    }

    let whole = fs::read(folder.path().join("a.tape")).expect("it is there");
    let text = String::from_utf8(whole.clone()).expect("it is text");
    let end = text.len() - "{\"over\":{}}\n".len();
    let hostile = [
        "nonsense",
        "{\"line\":{\"of\":77,\"seq\":0,\"number\":0,\"text\":\"x\"}}",
        "{\"clock\":9223372036854775807}",
        "{\"clock\":-9223372036854775808}",
        "{\"counted\":{\"lines\":18446744073709551615,\"quiet\":9223372036854775807}}",
        "{\"counted\":{\"lines\":18446744073709551615,\"quiet\":9223372036854775807}}",
        "{\"line\":{\"of\":0,\"seq\":18446744073709551615,\"number\":18446744073709551615,\"lines\":4294967295,\"text\":\"\\u001b[2J\\u0000\"}}",
        "{\"document\":{\"of\":0,\"taken\":-1,\"base64\":\"////\"}}",
        "{\"origin\":{\"id\":4294967295,\"cluster\":\"\",\"namespace\":\"\",\"pod\":\"\",\"container\":\"\",\"file\":\"\",\"role\":\"king\"}}",
        "{\"unheard\":{\"of\":1}}",
        "\"look\"",
        "[]",
    ];
    let path = folder.path().join("hostile.tape");
    fs::write(&path, format!("{}{}\n{}", &text[..end], hostile.join("\n"), &text[end..])).expect("it can be written");
    let said = replay(&path, &["--output=ndjson"]);
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(told.contains("remote-api-unreachable") && told.contains("entries cannot be read"), "{told}");

    let seed = seed();
    let mut random = Random(seed);
    // Behind the first line, which says that it is a tape.
    let begin = text.find('\n').expect("it has lines") + 1;
    for _ in 0..40 {
        let mut broken = whole.clone();
        for _ in 0..1 + random.below(20) {
            let at = begin + random.below(broken.len() - begin);
            broken[at] = random.below(256) as u8;
        }
        fs::write(&path, &broken).expect("it can be written");
        let said = replay(&path, &["--output=ndjson"]);
        let told = String::from_utf8_lossy(&said.stderr);
        assert!(matches!(said.status.code(), Some(0 | 1)), "seed {seed}: {told}");
    }

    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    fs::write(&path, newer).expect("it can be written");
    let said = replay(&path, &[]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("version 2 of tapes"), "it is told what it is");
}

#[test]
fn a_tape_that_cannot_be_written_does_not_end_the_watch() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let log = folder.path().join("east/istio-system/istiod-1/discovery.log");
    fs::create_dir_all(log.parent().expect("it has one")).expect("folders can be made");
    fs::write(&log, format!("{}\n", unreachable("10.64.3.2"))).expect("it can be written");
    let tape = folder.path().join("full.tape");
    // A limit on the size of files stands for a full disk.
    let script = "ulimit -f 8; exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; {script}"), env!("CARGO_BIN_EXE_meshwhy"), "tail", "--output=ndjson"])
        .arg("--record")
        .arg(&tape)
        .arg(folder.path().join("east"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut file = fs::OpenOptions::new().append(true).open(&log).expect("it is there");
    for number in 0..200 {
        writeln!(file, "{}", unreachable(&format!("10.65.0.{number}"))).expect("it can be written");
    }
    let mut said = String::new();
    let mut errors = child.stderr.take().expect("it was asked for");
    let mut byte = [0];
    while !said.contains("is not recorded") && errors.read(&mut byte).expect("it can be read") == 1 {
        said.push(char::from(byte[0]));
    }
    assert!(said.contains("full.tape cannot be written any further"), "{said}");
    writeln!(file, "{}", unreachable_cluster("north", "10.66.0.1")).expect("it can be written");
    let mut out = child.stdout.take().expect("it was asked for");
    let mut printed = Vec::new();
    while !String::from_utf8_lossy(&printed).contains("10.66.0.1") {
        let mut bytes = [0; 4096];
        let length = out.read(&mut bytes).expect("it can be read");
        assert!(0 < length, "it ended: {}", String::from_utf8_lossy(&printed));
        printed.extend_from_slice(&bytes[..length]);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn what_is_read_of_a_sample_is_the_same_without_its_secrets() {
    let samples = readable_samples();
    let wrong = each(&samples, |sample| {
        let mut wrong = Vec::new();
        for file in sample.files() {
            let bytes = fs::read(sample.dir().join(&file)).expect("it is there");
            let path = file.to_string_lossy().into_owned();
            let found = Found { path: &path, command: "" };
            let (before, after) =
                (document::read(&bytes, found), document::read(&meshwhy::redact::document(&bytes), found));
            if before != after {
                wrong.push(format!("{}/{path}", sample.name));
            }
        }
        wrong
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_document_that_is_saved_holds_a_secret() {
    for (name, text) in doors() {
        assert_silent(name, &meshwhy::redact::document(text.as_bytes()));
        for end in (0..text.len()).step_by(37).filter(|end| text.is_char_boundary(*end)) {
            assert_silent(&format!("{name} cut at {end}"), &meshwhy::redact::document(&text.as_bytes()[..end]));
        }
    }
}
