//! The configuration: defaults, then the environment, then flags; resolved and checked once.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use meshwhy_parsers::event::TEXT_MAX;
use meshwhy_parsers::frame::{LINE_MAX, Scan};
use meshwhy_parsers::time::{Time, rfc3339};

use crate::causes;
use crate::engine::Limits;
use crate::engine::cause::{Cause, Severity};
use crate::engine::finding::EVIDENCE_MAX;
use crate::engine::world::FACTS_PER_KIND_MAX;
use crate::inputs::InputLimits;
use crate::inputs::clock::{Clock, now};
use crate::inputs::direct::Address;
use crate::inputs::kube::{ISTIOD_NAMESPACE, Selection, Since, Watched};
use crate::inputs::source::LiveLimits;
use crate::inputs::xds::{self, Node};
use crate::signatures::{COUNT_MAX, SUBJECTS_MAX, Signatures};
use crate::trace;

pub use crate::inputs::xds::{Credentials, Form};

/// Everything a replay needs to know.
pub struct ReplayConfig {
    /// Files, folders and archives as the user named them; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// Cluster names the user gave to paths: the longest path that holds a file wins.
    pub cluster_names: Vec<(String, PathBuf)>,
    /// Lines before this moment are left out; lines without a time stay.
    pub since: Option<Time>,
    /// Lines after this moment are left out; lines without a time stay.
    pub until: Option<Time>,
    /// How many threads read and parse.
    pub threads: usize,
    /// Whether lines that cannot matter are skipped unparsed.
    pub scan: Scan,
    /// The causes that are judged: the catalogue less what was disabled, and the user's own.
    pub causes: Vec<&'static Cause>,
    /// The user's own signatures; empty without `--signatures`.
    pub signatures: Signatures,
    /// From which severity on a finding makes the exit code 1.
    pub fail_on: FailOn,
    /// Whether every event that is evidence is printed as a record.
    pub events: bool,
    /// Whether only the shortest form is printed.
    pub quiet: bool,
    /// The engine's limits.
    pub limits: Limits,
    /// The limits of what is read.
    pub input_limits: InputLimits,
    /// What is asked of what was read.
    pub task: Task,
    /// Clusters that are asked beside what is saved.
    pub asked: Option<Asked>,
}

/// Clusters that are asked once.
pub struct Asked {
    /// Whether no API server is asked, but the addresses alone.
    pub without_clusters: bool,
    /// The kubeconfig; by default that of kubectl.
    pub kubeconfig: Option<PathBuf>,
    /// Its contexts; the current one where none is named.
    pub contexts: Vec<String>,
    /// The namespace of istiod where none is found.
    pub istio_namespace: String,
    /// Admin and debug endpoints that are asked directly.
    pub addresses: Vec<Address>,
    /// How far back the logs of a call's pods are read.
    pub lines: Duration,
    /// The limits of live sources.
    pub limits: LiveLimits,
}

/// Clusters of which everything is saved.
#[derive(Clone)]
pub struct RecordConfig {
    /// The kubeconfig; by default that of kubectl.
    pub kubeconfig: Option<PathBuf>,
    /// Its contexts; the current one where none is named.
    pub contexts: Vec<String>,
    /// The namespace of istiod where none is found.
    pub istio_namespace: String,
    /// How far back logs are saved.
    pub since: Option<Duration>,
    /// Pods of which all are saved, however many.
    pub pods: Vec<Selection>,
    /// The archive or folder that is made.
    pub out: PathBuf,
    /// Whether other words stand for names, and other addresses for addresses.
    pub hide_names: bool,
    /// The limits of live sources.
    pub limits: LiveLimits,
}

/// Everything that watching needs to know.
pub struct TailConfig {
    /// What watching shares with reading what is saved.
    pub replay: ReplayConfig,
    /// The kubeconfig; by default that of kubectl.
    pub kubeconfig: Option<PathBuf>,
    /// Its contexts; the current one where none is named.
    pub contexts: Vec<String>,
    /// The namespace of istiod where none is found.
    pub istio_namespace: String,
    /// What to watch of each cluster; `None` where only files are followed.
    pub watched: Option<Watched>,
    /// The istiods that are asked by xDS; `None` for none.
    pub xds: Option<XdsConfig>,
    /// Admin and debug endpoints that are asked directly.
    pub addresses: Vec<Address>,
    /// Lines before their end at which files begin.
    pub lines: Option<u32>,
    /// A new file that takes the tape.
    pub record: Option<PathBuf>,
    /// Whether lines that tell something are printed as they come.
    pub follow_events: bool,
    /// The limits of live sources.
    pub limits: LiveLimits,
    /// What time it is.
    pub clock: Clock,
}

impl TailConfig {
    /// The current context of the kubeconfig, watched so.
    pub fn of(replay: ReplayConfig, watched: Option<Watched>) -> TailConfig {
        TailConfig {
            replay,
            kubeconfig: None,
            contexts: Vec::new(),
            istio_namespace: ISTIOD_NAMESPACE.to_string(),
            watched,
            xds: None,
            addresses: Vec::new(),
            lines: None,
            record: None,
            follow_events: false,
            limits: LiveLimits::default(),
            clock: Clock::default(),
        }
    }
}

/// The istiods that are asked by xDS.
#[derive(Clone, Debug)]
pub struct XdsConfig {
    /// Their addresses.
    pub addresses: Vec<xds::Address>,
    /// Whether those of every context are asked through its API server.
    pub through_contexts: bool,
    /// How they are asked.
    pub asked: xds::Asked,
}

/// The istiods to ask by xDS: an address each, or an empty text for those of the contexts. `None` where none is given.
pub fn xds(
    addresses: &[String],
    nodes: &[String],
    credentials: Credentials,
    form: Form,
) -> anyhow::Result<Option<XdsConfig>> {
    if addresses.is_empty() {
        return Ok(None);
    }
    let through_contexts = addresses.iter().any(String::is_empty);
    let addresses: Vec<xds::Address> = addresses
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| xds::Address::parse(text))
        .collect::<anyhow::Result<_>>()?;
    for address in &addresses {
        let host = address.host();
        if address.is_secure() && credentials.ca.is_none() {
            bail!(
                "nothing tells which root the certificate of {host} must come from\nhint: --xds-ca FILE, with \
                 root-cert.pem of the ConfigMap istio-ca-root-cert"
            );
        }
        if !address.is_secure() && credentials.are_some() {
            bail!("a token or a certificate is not sent to {host} in plain text\nhint: https://{host}:15012");
        }
    }
    let nodes = nodes.iter().map(|text| match text.split_once(':') {
        // A whole ID may hold an address of version 6.
        Some((cluster, node)) if !cluster.contains('~') => Ok((Some(cluster.to_string()), Node::parse(node)?)),
        _ => Ok((None, Node::parse(text)?)),
    });
    let nodes = nodes.collect::<anyhow::Result<_>>()?;
    Ok(Some(XdsConfig { addresses, through_contexts, asked: xds::Asked { nodes, credentials, form } }))
}

/// What to watch of each cluster: logs from so long ago, or from so many lines before their end, and chosen pods.
pub fn watched(since: &str, lines: Option<u32>, pods: &[String], scan: Scan) -> anyhow::Result<Watched> {
    let since = match lines {
        Some(lines) => Since::Lines(lines),
        None => Since::Ago(span("--since", since)?),
    };
    Ok(Watched { since, scan, also: selections(pods)? })
}

/// Reads which pods are chosen: `app=reviews`, `shop/app=reviews`, `shop/`.
pub fn selections(pods: &[String]) -> anyhow::Result<Vec<Selection>> {
    pods.iter().map(|text| Selection::parse(text)).collect()
}

/// Reads how long something lasts, or how long ago it was: `30s`, `5m`, `2h`.
pub fn span(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let unit = |letter: &str| match letter {
        "s" => Some(1_u64),
        "m" => Some(60),
        "h" => Some(3_600),
        _ => None,
    };
    let read = text.char_indices().next_back().and_then(|(at, _)| {
        let (count, letter) = text.split_at(at);
        unit(letter)?.checked_mul(count.parse::<u64>().ok()?)
    });
    match read {
        Some(seconds) if 0 < seconds => Ok(Duration::from_secs(seconds)),
        _ => bail!("cannot read {flag} {text:?} as a span of time\nhint: 30s, 5m, 2h"),
    }
}

/// What is asked of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Why does fail what the lines show to fail?
    Replay,
    /// Is the mesh sound?
    Check {
        /// Whether the clusters are not linked yet.
        before_linking: bool,
    },
    /// Why does this call not arrive?
    Trace(trace::From, trace::To),
}

impl ReplayConfig {
    /// The defaults for these paths.
    pub fn of(paths: Vec<PathBuf>) -> ReplayConfig {
        ReplayConfig {
            paths,
            cluster_names: Vec::new(),
            since: None,
            until: None,
            threads: threads_default(),
            scan: Scan::On,
            causes: causes::ALL.to_vec(),
            signatures: Signatures::default(),
            fail_on: FailOn::default(),
            events: false,
            quiet: false,
            limits: Limits::default(),
            input_limits: InputLimits::default(),
            task: Task::Replay,
            asked: None,
        }
    }
}

/// From which severity on a finding makes the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// From this one on.
    Severity(Severity),
    /// Never: findings are printed, the exit code stays 0.
    Never,
}

impl Default for FailOn {
    fn default() -> FailOn {
        FailOn::Severity(Severity::Warning)
    }
}

impl FailOn {
    /// The exit code for findings of which the worst open one is this bad; `None` where there is none.
    pub fn exit_code(self, worst: Option<Severity>) -> u8 {
        match self {
            FailOn::Never => 0,
            FailOn::Severity(from) => u8::from(worst.is_some_and(|worst| worst >= from)),
        }
    }
}

/// How many threads read and parse where nobody says: more than four wait for the disk.
pub fn threads_default() -> usize {
    const THREADS_MAX: usize = 4;
    thread::available_parallelism().map_or(1, |threads| threads.get().min(THREADS_MAX))
}

/// Reads a moment given on the command line.
pub fn moment(flag: &str, text: &str) -> anyhow::Result<Time> {
    match rfc3339(text.as_bytes()) {
        Some((time, used)) if used == text.len() => Ok(time),
        _ => bail!(
            "cannot read {flag} {text:?} as a time\nhint: write it as in the logs, RFC 3339: 2026-03-01T09:30:00Z or 2026-03-01T10:30:00+01:00"
        ),
    }
}

/// Reads `--since`: a moment, or how long ago it was.
pub fn since(text: &str) -> anyhow::Result<Time> {
    match (span("--since", text), now()) {
        (Ok(ago), Some(now)) => Ok(Time(now.0.saturating_sub(i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)))),
        _ => moment("--since", text),
    }
}

/// How long ago `--since` was; without it, as long as the logs of clusters are read that are asked for a call.
pub fn since_ago(text: Option<&str>) -> anyhow::Result<Duration> {
    const LOGS: Duration = Duration::from_secs(5 * 60);
    let Some(text) = text else { return Ok(LOGS) };
    let since = since(text)?;
    let ago = now().map_or(0, |now| now.0.saturating_sub(since.0));
    Ok(Duration::from_nanos(u64::try_from(ago).unwrap_or(0)))
}

/// Reads `NAME=PATH`.
pub fn cluster_name(text: &str) -> anyhow::Result<(String, PathBuf)> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_string(), PathBuf::from(path))),
        _ => bail!(
            "cannot read --cluster {text:?}\nhint: name the cluster, then its file or folder: --cluster west=logs/west"
        ),
    }
}

/// The causes to judge: all or `only`, without `disable`, with the user's own.
pub fn causes(only: &[String], disable: &[String], signatures: &Signatures) -> anyhow::Result<Vec<&'static Cause>> {
    let all: Vec<&'static Cause> = causes::ALL.iter().copied().chain(signatures.causes()).collect();
    for slug in only.iter().chain(disable) {
        if !all.iter().any(|cause| cause.slug == slug) {
            bail!("no cause is called {slug:?}\nhint: {}", nearest_hint(slug, all.iter().map(|cause| cause.slug)));
        }
    }
    let wanted = |cause: &&Cause| {
        (only.is_empty() || only.iter().any(|slug| slug == cause.slug))
            && !disable.iter().any(|slug| slug == cause.slug)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Reads the user's own signatures.
pub fn signatures(path: Option<&Path>) -> anyhow::Result<Signatures> {
    let Some(path) = path else { return Ok(Signatures::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read signatures {}", path.display()))?;
    Signatures::read(&text).with_context(|| format!("cannot use signatures {}", path.display()))
}

/// `did you mean X?` with the nearest of the known words, or where to find them all.
pub fn nearest_hint<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    let near = known.map(|known| (distance(word, known), known)).min();
    match near {
        Some((distance, known)) if distance * 3 <= word.len().max(known.len()) => format!("did you mean {known:?}?"),
        _ => "`meshwhy causes` lists them all".to_string(),
    }
}

/// How many characters must be put in, taken out or changed to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether standard output gets colours.
    pub fn is_on(self) -> bool {
        let forbidden = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => std::io::stdout().is_terminal() && !forbidden(),
        }
    }
}

/// Columns to write for: those of the terminal up to a readable width, else [`WIDTH_PIPED`].
pub fn width() -> usize {
    match terminal_size::terminal_size_of(std::io::stdout()) {
        Some((terminal_size::Width(columns), _)) => usize::from(columns).clamp(WIDTH_MIN, WIDTH_MAX),
        None => WIDTH_PIPED,
    }
}

/// Columns where the output is no terminal.
pub const WIDTH_PIPED: usize = 100;
/// Narrower terminals wrap by themselves.
const WIDTH_MIN: usize = 40;
/// Longer lines are hard to read, however wide the terminal is.
const WIDTH_MAX: usize = 120;

/// A limit of the program: what is bounded, by how much, and what happens beyond.
pub struct Limit {
    /// What is bounded.
    pub what: &'static str,
    /// The bound.
    pub max: u64,
    /// What happens beyond it.
    pub beyond: &'static str,
}

/// Every limit that live sources can reach, and those that they share with saved ones, for help texts.
pub fn live_limits() -> Vec<Limit> {
    let engine = Limits::default();
    let live = LiveLimits::default();
    let limit = |what, max: usize, beyond| Limit { what, max: max as u64, beyond };
    let seconds = |what, max: Duration, beyond| Limit { what, max: max.as_secs(), beyond };
    vec![
        limit("bytes of one line", live.line_bytes_max, "it is read in pieces"),
        limit("logs followed in one cluster", live.followed_max, "further ones are not followed, and said so"),
        limit("files followed", live.files_max, "further ones are named and not followed"),
        limit("lines of one second remembered of a log", live.seen_max, "more may be read twice after a disconnect"),
        limit("arrivals that wait to be judged", live.waiting_max, "sources are read more slowly, and lose nothing"),
        limit("bytes of what a proxy or istiod answers", live.answer_bytes_max, "it is not read, and said so"),
        limit("pods of a cluster asked at once", live.asked_at_once_max, "others wait for their turn"),
        limit("pods that wait to be asked", live.asking_max, "they are asked when they fail again"),
        limit(
            "pods remembered as asked, losses as told",
            live.remembered_max,
            "further losses are not told one by one",
        ),
        seconds("seconds an API server may ask to be left alone", live.retry_after_max, "it is tried again"),
        seconds(
            "seconds until a kind refused or not installed is tried again",
            live.refused_pause,
            "it is tried again",
        ),
        limit("symptoms followed at once", engine.cases_max, "new ones are counted as refused"),
        limit("different facts kept of one kind", FACTS_PER_KIND_MAX, "new ones are counted as refused"),
    ]
}

/// Every limit that an input can reach, for help texts.
pub fn limits() -> Vec<Limit> {
    let engine = Limits::default();
    let input = InputLimits::default();
    let limit = |what, max: usize, beyond| Limit { what, max: max as u64, beyond };
    vec![
        limit("bytes of one line", LINE_MAX, "the rest of the line is dropped and counted"),
        limit("bytes quoted of one line", TEXT_MAX, "the quotation is cut; the line is read whole"),
        limit("files in all", input.files_max, "further files are named and not read"),
        limit("folders within folders", input.folder_depth_max, "deeper ones are named and not read"),
        limit("archives within archives", input.depth_max, "deeper ones are named and not read"),
        Limit {
            what: "bytes of one archive, decompressed",
            max: input.archive_bytes_max,
            beyond: "the rest is refused: it may be a bomb",
        },
        Limit {
            what: "times an archive may grow by decompressing",
            max: input.ratio_max,
            beyond: "the rest is refused: it may be a bomb",
        },
        Limit { what: "files in one archive", max: input.archive_files_max, beyond: "the rest is refused" },
        limit("bytes sorted in memory", input.sort_bytes_max, "more goes, sorted, to an unlinked temporary file"),
        limit("symptoms followed at once", engine.cases_max, "new ones are counted as refused"),
        limit("different facts kept of one kind", FACTS_PER_KIND_MAX, "new ones are counted as refused"),
        limit("pieces of evidence a finding shows", EVIDENCE_MAX, "further ones only count"),
        limit("kinds of unknown lines told apart", input.templates_max, "further ones are counted together"),
        Limit {
            what: "bytes of one state document",
            max: input.document_bytes_max,
            beyond: "the rest is not read, and said so",
        },
        Limit {
            what: "bytes of a text searched for documents",
            max: input.transcript_bytes_max,
            beyond: "it is read line by line, as is standard input that is still open",
        },
        Limit {
            what: "bytes of one entry of a tape",
            max: input.tape_entry_bytes_max,
            beyond: "it is not read, and counted",
        },
        limit("losses named one by one", input.losses_max, "further ones are only counted"),
        limit("subjects of signatures of your own", SUBJECTS_MAX, "further ones are counted together"),
        limit("times such a signature may ask for", COUNT_MAX as usize, "the file is refused"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_slug_is_answered_with_the_nearest_one() {
        let known = ["remote-secret-missing", "istiod-down"];
        assert_eq!(nearest_hint("remote-secret-mising", known.into_iter()), "did you mean \"remote-secret-missing\"?");
        assert_eq!(nearest_hint("xyz", known.into_iter()), "`meshwhy causes` lists them all");
    }

    #[test]
    fn a_moment_is_rfc3339_and_nothing_else() {
        assert!(moment("--since", "2026-03-01T09:30:00Z").is_ok());
        for text in ["10m", "09:30", "2026-03-01T09:30:00Zjunk", ""] {
            let error = moment("--since", text).expect_err(text).to_string();
            assert!(error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn lines_are_wanted_since_a_moment_or_since_so_long_ago() {
        assert_eq!(since("2026-03-01T09:30:00Z").expect("a moment"), moment("", "2026-03-01T09:30:00Z").expect("one"));
        let before = now().expect("a clock that is set");
        let ago = since("10m").expect("a span").0;
        assert!((before.0 - 600_000_000_000..=now().expect("a clock").0 - 600_000_000_000).contains(&ago));
        assert!(since("0m").is_err() && since("m").is_err() && since("1w").is_err());
    }

    #[test]
    fn who_asks_shows_itself_to_a_known_istiod_alone() {
        let read = |address: &str, credentials: Credentials| {
            xds(&[address.to_string()], &["east:sleep-1.sample".to_string()], credentials, Form::Delta)
        };
        let token = || Credentials { token: Some("token".into()), ..Credentials::default() };
        let config = read("http://istiod:15010", Credentials::default()).expect("in plain text").expect("an istiod");
        assert_eq!(config.asked.nodes, [(Some("east".to_string()), Node::parse("sleep-1.sample").expect("a pod"))]);
        assert!(read("", token()).expect("through contexts").expect("istiods").through_contexts);
        for (address, credentials) in [("http://istiod:15010", token()), ("https://istiod:15012", token())] {
            let error = read(address, credentials).expect_err(address).to_string();
            assert!(error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn a_cluster_is_named_with_its_path() {
        assert_eq!(
            cluster_name("west=logs/west").expect("both parts"),
            ("west".to_string(), PathBuf::from("logs/west"))
        );
        assert!(cluster_name("=logs").is_err());
        assert!(cluster_name("west").is_err());
    }

    #[test]
    fn the_exit_code_follows_the_chosen_severity() {
        assert_eq!(FailOn::default().exit_code(Some(Severity::Warning)), 1);
        assert_eq!(FailOn::default().exit_code(Some(Severity::Info)), 0);
        assert_eq!(FailOn::Severity(Severity::Critical).exit_code(Some(Severity::Error)), 0);
        assert_eq!(FailOn::Never.exit_code(Some(Severity::Critical)), 0);
        assert_eq!(FailOn::default().exit_code(None), 0);
    }
}
