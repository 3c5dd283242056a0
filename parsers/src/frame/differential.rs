//! The scan skips nothing that matters: random logs are read with and without it, and what a reader learns is compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Counts, Framer, Scan, starts_record};
use crate::event::{Event, Fact, Level, Line, Thing};
use crate::origin::Origin;
use crate::{parse, signatures};

/// Seeded numbers: the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    /// Mostly the first.
    fn rarely<'a>(&mut self, words: &[&'a str]) -> &'a str {
        if self.below(40) > 0 { words[0] } else { self.one_of(words) }
    }
}

/// A log of many lines: access lines of few destinations, and every signature's examples.
fn log(seed: u64, lines: usize) -> String {
    let mut numbers = Numbers(seed * 2 + 1);
    let examples: Vec<&str> = signatures().flat_map(|signature| signature.examples).copied().collect();
    let mut log = "2026-03-02T00:00:00.000000Z\tinfo\tfirst\ncontinued\n".repeat(usize::from(seed.is_multiple_of(2)));
    for line in 0..lines {
        let time = format!("2026-03-02T{:02}:{:02}:{:02}.{line:06}Z", line / 3_600 % 24, line / 60 % 60, line % 60);
        let (n, port) = (numbers.below(2), 30_000 + numbers.below(9_000));
        let written = match numbers.below(80) {
            0..=20 => connection(&mut numbers, &time, n, port),
            21..=40 => json_connection(&mut numbers, &time, n, port),
            41..=55 => request(&mut numbers, &time, n, port),
            56..=72 => json_request(&mut numbers, &time, n, port),
            73..=77 => format!("{time}\tinfo\tads\tnothing to see {port}\n"),
            78 => numbers.one_of(&["\n", "\tcontinued\n", "continued at the edge\n", "  {\n", "}\n"]).to_string(),
            _ => format!("{}\n", examples[numbers.below(examples.len())]),
        };
        log.push_str(&written);
    }
    log
}

fn connection(numbers: &mut Numbers, time: &str, n: usize, port: usize) -> String {
    let (level, error) = match numbers.below(60) {
        0 => ("error", " error=\"io error: Connection refused (os error 111)\""),
        1 => ("warn", " error=\"unknown source: x\""),
        _ => ("info", ""),
    };
    let source = numbers.one_of(&[" src.workload=\"web-1\" src.namespace=\"shop\"", ""]);
    format!(
        "{time}\t{level}\taccess\tconnection complete\tsrc.addr=10.1.0.{n}:{port}{source} dst.addr=10.2.0.{n}:15008 \
         dst.hbone_addr=10.2.0.{n}:80 direction=\"outbound\" bytes_sent={port} bytes_recv=1 duration=\"{n}ms\"{error}\n"
    )
}

fn json_connection(numbers: &mut Numbers, time: &str, n: usize, port: usize) -> String {
    let (level, error) = match numbers.below(60) {
        0 => ("error", ",\"error\":\"io error: Connection refused (os error 111)\""),
        _ => ("info", ""),
    };
    format!(
        "{{\"level\":\"{level}\",\"time\":\"{time}\",\"scope\":\"access\",\"message\":\"connection complete\",\
         \"src.addr\":\"10.1.0.{n}:{port}\",\"src.workload\":\"web-1\",\"dst.addr\":\"10.2.0.{n}:15008\",\
         \"direction\":\"outbound\",\"bytes_sent\":{port},\"bytes_recv\":1,\"duration\":\"{n}ms\"{error}}}\n"
    )
}

const CODES: [&str; 10] = ["200", "204", "301", "404", "429", "403", "503", "0", "426", "500"];
const DETAILS: [&str; 5] = [
    "via_upstream",
    "-",
    "route_not_found",
    "rbac_access_denied_matched_policy[none]",
    "upstream_reset_before_response_started{connection_failure}",
];
const FLAGS: [&str; 4] = ["-", "UF", "UF,URX", "DC"];
const CLUSTERS: [&str; 4] =
    ["outbound|80||web.shop.svc.cluster.local", "inbound|80||", "BlackHoleCluster", "PassthroughCluster"];

fn request(numbers: &mut Numbers, time: &str, n: usize, port: usize) -> String {
    let (code, details) = (numbers.rarely(&CODES), numbers.rarely(&DETAILS));
    let (flags, cluster) = (numbers.rarely(&FLAGS), numbers.rarely(&CLUSTERS));
    let transport = numbers.rarely(&["-", "delayed_connect_error:_111"]);
    let upstream = if numbers.below(5) == 0 { "-".to_string() } else { format!("10.3.0.{n}:80") };
    format!(
        "[{time}] \"GET /x HTTP/1.1\" {code} {flags} {details} - \"{transport}\" 0 19 {n} - \"-\" \"curl/8\" \"id-{port}\" \
         \"web.shop\" \"{upstream}\" {cluster} 10.1.0.1:{port} 10.9.0.1:80 10.1.0.1:{port} - default\n"
    )
}

fn json_request(numbers: &mut Numbers, time: &str, n: usize, port: usize) -> String {
    let (code, details) = (numbers.rarely(&CODES), numbers.rarely(&DETAILS));
    let (flags, cluster) = (numbers.rarely(&FLAGS), numbers.rarely(&CLUSTERS));
    let grpc = numbers.rarely(&["", "\"grpc_status\":\"-\",", "\"grpc_status\":\"Unavailable\","]);
    let code = if numbers.below(2) == 0 { format!("\"{code}\"") } else { code.to_string() };
    let host = if numbers.below(5) == 0 { "null".to_string() } else { format!("\"10.3.0.{n}:80\"") };
    format!(
        "{{\"start_time\":\"{time}\",\"method\":\"GET\",{grpc}\"response_code\":{code},\"response_flags\":\"{flags}\",\
         \"response_code_details\":\"{details}\",\"upstream_transport_failure_reason\":null,\"duration\":{n},\
         \"request_id\":\"{port}\",\"upstream_host\":{host},\"upstream_cluster\":\"{cluster}\",\"authority\":\"web\"}}\n"
    )
}

fn framed(log: &str, scan: Scan) -> (Vec<Line>, Counts) {
    let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), scan);
    let mut lines = Vec::new();
    let mut take = |line| lines.push(line);
    framer.push(log.as_bytes(), &mut take);
    framer.finish(&mut take);
    // The last success of a run comes out when the run ends.
    lines.sort_by_key(|line| line.seq);
    (lines, framer.counts())
}

fn is_access(event: &Event) -> bool {
    matches!(event.fact, Fact::Connection(_) | Fact::Request(_))
}

/// Whether an event changes nothing that is known.
fn is_silent(event: &Event) -> bool {
    let about = event.about();
    let is_known = match &event.fact {
        Fact::Known => true,
        Fact::Opaque(opaque) => opaque.format_known,
        _ => is_access(event),
    };
    is_known && event.level < Level::Warn && about.failed.is_none() && (about.worked.is_empty() || is_access(event))
}

/// Of each thing, where it worked and where it failed.
type Stories = BTreeMap<Thing, Vec<(u64, bool)>>;

/// What a reader learns: everything that is not silent, and of each thing's successes the last before and the first after
/// each of its failures, and the last of all.
fn learnt(lines: &[Line]) -> (Vec<(u64, Fact)>, Stories) {
    let mut said = Vec::new();
    let mut stories = Stories::new();
    for line in lines {
        let event = parse(line);
        if !is_silent(&event) {
            said.push((event.seq, event.fact.clone()));
        }
        let about = event.about();
        for thing in about.worked {
            stories.entry(thing).or_default().push((event.seq, true));
        }
        if let Some(symptom) = about.failed {
            stories.entry(symptom.thing).or_default().push((event.seq, false));
        }
    }
    for story in stories.values_mut() {
        let all = story.clone();
        let is_edge = |at: usize| at == 0 || at + 1 == all.len() || !all[at - 1].1 || !all[at + 1].1;
        let mut at = 0;
        story.retain(|(_, worked)| {
            at += 1;
            !worked || is_edge(at - 1)
        });
    }
    (said, stories)
}

fn understood(lines: &[Line], counts: Counts) -> u64 {
    let known = lines.iter().filter(|line| match parse(line).fact {
        Fact::Opaque(opaque) => opaque.format_known,
        _ => true,
    });
    known.map(|line| u64::from(line.lines)).sum::<u64>() + counts.quiet
}

#[test]
fn the_scan_changes_nothing_that_is_learnt() {
    for seed in 0..24 {
        let log = log(seed, 1_000);
        let (all, all_counts) = framed(&log, Scan::Off);
        let (kept, kept_counts) = framed(&log, Scan::On);
        let (said, stories) = learnt(&all);
        let (said_kept, stories_kept) = learnt(&kept);
        let show = |seq: u64| log[seq as usize..].lines().next().unwrap_or("");
        for (one, other) in said.iter().zip(&said_kept) {
            assert_eq!(one, other, "seed {seed}: {}", show(one.0));
        }
        assert_eq!(said.len(), said_kept.len(), "seed {seed}");
        for (thing, story) in &stories {
            let kept = stories_kept.get(thing).map_or(&[][..], Vec::as_slice);
            let odd = story.iter().find(|one| !kept.contains(one));
            assert_eq!(odd, None, "seed {seed}: {}", odd.map_or("", |one| show(one.0)));
        }
        assert_eq!(understood(&all, all_counts), understood(&kept, kept_counts), "seed {seed}");
        assert!(kept.len() * 4 < all.len() * 3, "seed {seed}: {} of {} lines are left", kept.len(), all.len());
    }
}

#[test]
fn the_scan_does_not_depend_on_chunks() {
    let log = log(77, 800);
    let whole = framed(&log, Scan::On);
    for step in [1, 13, 1_000, 4_099] {
        let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), Scan::On);
        let mut lines = Vec::new();
        let mut take = |line| lines.push(line);
        log.as_bytes().chunks(step).for_each(|chunk| framer.push(chunk, &mut take));
        framer.finish(&mut take);
        lines.sort_by_key(|line: &Line| line.seq);
        assert_eq!((lines, framer.counts()), whole, "in chunks of {step}");
    }
}

/// Reads a log in parts that are cut behind every multiple of the window, as readers on several threads do.
fn framed_in_parts(log: &str, window: u64) -> (Vec<Line>, u64, usize) {
    let begins: Vec<usize> =
        std::iter::once(0).chain(memchr::memchr_iter(b'\n', log.as_bytes()).map(|at| at + 1)).collect();
    let mut cuts = vec![0];
    for edge in (window as usize..log.len()).step_by(window as usize) {
        let begins = begins.iter().filter(|begin| edge <= **begin);
        let cut = begins.copied().find(|begin| starts_record(&log.as_bytes()[*begin..]));
        cuts.extend(cut.filter(|cut| cuts.last() != Some(cut)));
    }
    cuts.push(log.len());
    let (mut lines, mut quiet, mut before, mut joins) = (Vec::new(), 0, 0, 0);
    let mut framer: Option<Framer> = None;
    for (at, part) in cuts.windows(2).enumerate() {
        let origin = Arc::new(Origin::new("c1", "a.log"));
        let mut current =
            framer.take().unwrap_or_else(|| Framer::at(origin, Scan::On, part[0] as u64).with_window(window));
        let mut take = |mut line: Line| {
            line.number += before;
            lines.push(line);
        };
        current.push(&log.as_bytes()[part[0]..part[1]], &mut take);
        let is_last = at + 2 == cuts.len();
        if !is_last && !current.is_plain() {
            joins += 1;
            framer = Some(current);
            continue;
        }
        current.finish(&mut take);
        quiet += current.counts().quiet;
        before += current.counts().lines;
    }
    (lines, quiet, joins)
}

#[test]
fn parts_give_what_the_whole_gives() {
    for seed in 100..110 {
        let log = log(seed, 1_500);
        let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), Scan::On).with_window(32 << 10);
        let mut whole = Vec::new();
        let mut take = |framed| {
            whole.push(framed);
        };
        framer.push(log.as_bytes(), &mut take);
        framer.finish(&mut take);
        let (parts, quiet, joins) = framed_in_parts(&log, 32 << 10);
        assert!(joins < 12, "seed {seed}: nearly nothing was read apart");
        for (one, other) in parts.iter().zip(&whole) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!((parts.len(), quiet), (whole.len(), framer.counts().quiet), "seed {seed}");
    }
}

#[test]
fn broken_bytes_neither_panic_nor_depend_on_chunks() {
    const SEAMS: [&str; 14] = [
        "\n",
        "\"",
        "{",
        "}\n{",
        "\u{1b}[3",
        "é",
        "\r\n",
        "$ kubectl get pods \\\n",
        "NAME   READY\n",
        "# ",
        "> ",
        "2026-03-02T00:00:00Z stdout P ",
        "{\"log\":\"",
        "Events:\n",
    ];
    for seed in 200..230 {
        let mut numbers = Numbers(seed * 2 + 1);
        let mut bytes = log(seed, 60).into_bytes();
        for _ in 0..60 {
            let at = numbers.below(bytes.len());
            match numbers.below(3) {
                0 => bytes[at] = numbers.below(256) as u8,
                1 => _ = bytes.remove(at),
                _ => _ = bytes.splice(at..at, numbers.one_of(&SEAMS).bytes()).count(),
            }
        }
        for scan in [Scan::On, Scan::Off] {
            let read = |step: usize| {
                let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), scan);
                let mut records = Vec::new();
                bytes.chunks(step).for_each(|chunk| framer.push(chunk, &mut |record| records.push(record)));
                framer.finish(&mut |record| records.push(record));
                (records, framer.counts())
            };
            assert_eq!(read(1), read(bytes.len()), "seed {seed}, {scan:?}");
        }
    }
}
