//! Faults at random points of a seeded run: what arrives of a log is what was printed, less what is said to be lost, and
//! nothing arrives twice; what is known of objects at the end is what is there. `MESHWHY_SEED` repeats one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::time::Duration;

use meshwhy::inputs::kube::{self, Since, Watched};
use meshwhy::inputs::source::{Feed, LiveLimits, Said, Status};
use meshwhy_parsers::event::{Arrival, Fact};
use meshwhy_parsers::frame::Scan;
use meshwhy_parsers::state::State;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::common::kube_api::{Close, Failure, KubeApi, kubeconfig_file, pod};
use crate::common::{Random, meshwhy, seed};
use crate::live::Running;

const LINES: usize = 250;
/// Lines of a file that is renamed between them.
const RENAMED: usize = 60;
/// Between lines on the clock of the container, in milliseconds: seconds with one line and seconds with many.
const APART: [u64; 4] = [0, 3, 90, 1_400];
/// All is over long before, unless something hangs.
const OVER_WITHIN: Duration = Duration::from_secs(90);

/// What came of a log.
#[derive(Default)]
struct Heard {
    lines: BTreeMap<usize, usize>,
    gaps: usize,
    lost: Vec<String>,
}

/// Does something to a cluster, as chance will have it.
fn break_something(api: &KubeApi, random: &mut Random) {
    let close = [Close::Notified, Close::Unnotified, Close::Reset][random.below(3)];
    match random.below(8) {
        0 => drop(api.cut("get pods/log", close)),
        1 => drop(api.cut("* *", close)),
        2 => api.fail("get pods/log", 1, Failure::Status([401, 500, 503][random.below(3)])),
        3 => api.fail("get pods/log", 1, Failure::Busy { retry_after: 1 }),
        4 => api.fail("get pods/log", 1, Failure::Cut { after: random.below(2_000), close }),
        5 => {
            api.expire_watches();
            api.compact();
        }
        6 => {
            api.stop(close);
            api.restart();
        }
        _ => {}
    }
}

/// Follows a log while its cluster is broken at random; what came of it.
async fn follow(seed: u64, rotates: bool) -> Heard {
    let mut random = Random(seed);
    let api = KubeApi::start("east");
    let place = ("istio-system", "istiod-1", "discovery");
    api.apply(pod(place.0, place.1, &[("app", "istiod")], &[place.2]));
    let config = kubeconfig_file(&[&api]);
    let connected = kube::connect(Some(config.path().to_path_buf()), &[]).await.expect("it can be connected");
    let cluster = connected.clusters.into_iter().next().expect("it is the only one");
    let watched = Watched { since: Since::Ago(Duration::from_secs(1 << 31)), scan: Scan::Off, also: Vec::new() };
    let (feed, mut heard) = Feed::new(LiveLimits::default());
    let (_asking, wanted) = mpsc::channel(1);
    let watching = tokio::spawn(kube::watch(cluster, watched, feed, wanted));

    let mut at = 1_772_000_000_000u64;
    let mut printed = 0;
    let mut said = Heard::default();
    let over = Instant::now() + OVER_WITHIN;
    api.cut_at_random(seed, 20_000);
    while !said.lines.contains_key(&(LINES - 1)) {
        assert!(Instant::now() < over, "seed {seed}: {} lines of {printed} came", said.lines.len());
        for _ in 0..random.below(20).min(LINES - printed) {
            at += APART[random.below(APART.len())];
            let time = k8s_openapi::jiff::Timestamp::from_millisecond(at.cast_signed()).expect("a time").to_string();
            api.log_at(place.0, place.1, place.2, &time, format!("{time}\tinfo\tline {printed}"));
            printed += 1;
        }
        if printed < LINES {
            break_something(&api, &mut random);
            if rotates && !said.lines.is_empty() && random.below(10) == 0 {
                api.rotate_log(place.0, place.1, place.2);
            }
        } else {
            api.cut_no_more();
        }
        let pause = Duration::from_millis(random.below(60) as u64 + 1);
        while let Ok(Some(what)) = timeout(pause, heard.recv()).await {
            said.take(what);
        }
    }
    watching.abort();
    assert!(3 < api.asked("get pods/log").len(), "seed {seed}: nothing broke");
    said
}

impl Heard {
    fn take(&mut self, said: Said) {
        match said {
            Said::Lines(tapped) => {
                for line in tapped.lines {
                    let text = line.text.to_string();
                    let number = text.rsplit(' ').next().and_then(|number| number.parse().ok());
                    *self.lines.entry(number.expect("a line is whole")).or_default() += 1;
                }
            }
            Said::Arrival(arrival) if matches!(*arrival, Arrival::Gap(_)) => self.gaps += 1,
            Said::Status(Status::Lost { what }) => self.lost.push(what),
            _ => {}
        }
    }

    fn missing(&self) -> Vec<usize> {
        (0..LINES).filter(|number| !self.lines.contains_key(number)).collect()
    }

    fn twice(&self) -> Vec<usize> {
        self.lines.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_arrives_whole_and_once_however_its_cluster_breaks() {
    for seed in [seed(), seed() + 1] {
        let heard = follow(seed, false).await;
        assert_eq!((heard.missing(), heard.twice()), (vec![], vec![]), "seed {seed}: {:?}", heard.lost);
        assert_eq!(heard.gaps, 0, "seed {seed}: nothing was lost: {:?}", heard.lost);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rotation_during_an_outage_takes_away_is_said_to_be_lost() {
    let seed = seed();
    let heard = follow(seed, true).await;
    assert_eq!(heard.twice(), Vec::<usize>::new(), "seed {seed}");
    let missing = heard.missing();
    assert!(missing.is_empty() || 0 < heard.gaps, "seed {seed}: {missing:?} are missing and nothing says so");
}

/// Services that come, change and go while their cluster breaks.
const SERVICES: usize = 12;
const CHANGES: usize = 150;
const REFUSALS_MAX: usize = 4;

/// What is known of services: name to the generation that its label tells.
#[derive(Default)]
struct Known {
    services: BTreeMap<String, String>,
    is_listed: bool,
}

impl Known {
    fn take(&mut self, said: Said) {
        let Said::Document(whole) = said else { return };
        for event in whole.events {
            let Fact::State(state) = event.fact else { continue };
            match *state {
                State::Object(object) if &*object.kind == "Service" => {
                    let generation = object.label("generation").unwrap_or_default().to_string();
                    self.services.insert(object.name.to_string(), generation);
                }
                State::Gone(object) if &*object.kind == "Service" => drop(self.services.remove(&*object.name)),
                State::Listed { kind, .. } => self.is_listed |= &*kind == "Service",
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_objects_is_what_is_there_however_their_cluster_breaks() {
    let seed = seed();
    let mut random = Random(seed);
    let api = KubeApi::start("east");
    let service = |name: &str, generation: usize| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "shop", "name": name, "labels": {"generation": generation.to_string()}},
            "spec": {"clusterIP": "10.2.0.1", "ports": [{"port": 80}]},
        })
    };
    let config = kubeconfig_file(&[&api]);
    let connected = kube::connect(Some(config.path().to_path_buf()), &[]).await.expect("it can be connected");
    let cluster = connected.clusters.into_iter().next().expect("it is the only one");
    let watched = Watched { since: Since::Lines(0), scan: Scan::On, also: Vec::new() };
    let (feed, mut heard) = Feed::new(LiveLimits::default());
    let (_asking, wanted) = mpsc::channel(1);
    let watching = tokio::spawn(kube::watch(cluster, watched, feed, wanted));

    let mut there: BTreeMap<String, String> = BTreeMap::new();
    let mut known = Known::default();
    // Each refusal makes the next pause longer: a few must do.
    let mut refusals = 0;
    let over = Instant::now() + OVER_WITHIN;
    api.cut_at_random(seed, 40_000);
    for generation in 0..CHANGES {
        let name = format!("service-{}", random.below(SERVICES));
        if random.below(3) == 0 && there.remove(&name).is_some() {
            api.delete("Service", "shop", &name);
        } else {
            api.apply(service(&name, generation));
            there.insert(name, generation.to_string());
        }
        let close = [Close::Notified, Close::Unnotified, Close::Reset][random.below(3)];
        match random.below(20) {
            0 => drop(api.cut("watch services", close)),
            1 | 2 if refusals < REFUSALS_MAX => {
                refusals += 1;
                let refusals = [401, 410, 500, 503].map(Failure::Status);
                let busy = Failure::Busy { retry_after: 1 };
                api.fail("* services", 1, refusals.into_iter().nth(random.below(5)).unwrap_or(busy));
                api.cut("watch services", close);
            }
            3 => {
                api.compact();
                api.cut("watch services", close);
            }
            4 => api.expire_watches(),
            5 => {
                api.stop(close);
                api.restart();
            }
            _ => {}
        }
        let pause = Duration::from_millis(random.below(40) as u64 + 1);
        while let Ok(Some(what)) = timeout(pause, heard.recv()).await {
            known.take(what);
        }
    }
    api.cut_no_more();
    while known.services != there || !known.is_listed {
        assert!(Instant::now() < over, "seed {seed}: known {:?}, there {there:?}", known.services);
        if let Ok(Some(what)) = timeout(Duration::from_millis(100), heard.recv()).await {
            known.take(what);
        }
    }
    watching.abort();
    assert!(1 < api.asked("list services").len(), "seed {seed}: nothing broke");
}

#[test]
fn a_file_arrives_whole_and_once_however_it_is_renamed() {
    let seed = seed();
    let mut random = Random(seed);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("istiod.log");
    let line = |number: usize| {
        format!("2026-03-01T09:30:00.000000Z\terror\tremote cluster c{number} failed to sync after 30s\n")
    };
    fs::write(&path, line(0)).expect("it can be written");
    let args = ["tail", "--follow-events", "--output=ndjson"];
    let mut tail = Running::start(meshwhy().args(args).arg(folder.path()));
    let mut printed = tail.up_to(r#""type":"event""#);
    for number in 1..RENAMED {
        if random.below(4) != 0 {
            let name = folder.path().join(format!("istiod.log.{number}"));
            fs::rename(&path, name).expect("it can be renamed");
        }
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).expect("it can be written");
        file.write_all(line(number).as_bytes()).expect("it can be written");
        // At all moments of a round, and several times within one.
        if random.below(2) == 0 {
            printed.extend(tail.up_to(&format!("cluster c{number} failed")));
        }
    }
    let is_event = |line: &&String| line.contains(r#""type":"event""#);
    while printed.iter().filter(is_event).count() < RENAMED {
        printed.extend(tail.up_to(r#""type":"event""#));
    }
    printed.extend(tail.interrupt());
    let mut heard: Vec<String> = printed.iter().filter(is_event).map(|line| remote(line)).collect();
    let mut said: Vec<String> = (0..RENAMED).map(|number| format!("c{number}")).collect();
    heard.sort();
    said.sort();
    assert_eq!(heard, said, "seed {seed}");
    let summary = printed.last().expect("there is one");
    assert!(summary.contains(&format!(r#""lines":{RENAMED},"#)), "seed {seed}: {summary}");
}

/// The remote cluster that an event tells of.
fn remote(event: &str) -> String {
    let event: Value = serde_json::from_str(event).expect("a record");
    event["fields"]["remote_cluster"].as_str().expect("it names one").to_string()
}
