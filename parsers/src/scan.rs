//! Which lines can matter, told from fixed columns without reading them.
//!
//! Most lines of a big log say that nothing is wrong: information below a warning, and requests and connections that
//! worked. Only the forms that programs themselves print are looked at (TABs between columns, JSON in their key order);
//! anything else matters. Of the information, what our signatures make use of is told apart by how its message begins:
//! the beginnings are taken from the signatures' own examples, so every variant that a signature reads needs an example.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::{memchr, memmem, memrchr};

use crate::event::{Event, Fact, Level, Line};
use crate::origin::Origin;
use crate::signature::Signature;
use crate::{header, parse, signatures};

/// What a look at a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A known format that says nothing about a failure or a recovery.
    Quiet,
    /// An ordinary success.
    Worked(Success),
    /// Everything else: to be read.
    Matters,
}

/// An ordinary success, named by hashes of what stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Success {
    /// Equal for successes that prove the same things to work.
    pub(crate) key: u64,
    /// The destinations it speaks of. A failure that speaks of one of them ends the run of successes.
    pub(crate) about: Destinations,
}

/// Hashes of a destination address and, for requests, of the cluster it was chosen from; 0 where there is none.
pub(crate) type Destinations = [u64; 2];

/// Whether a line can matter: it is no ordinary success and no information without use.
pub fn can_matter(line: &str) -> bool {
    look(line.as_bytes()) == Look::Matters
}

/// Looks at a record's first line, without its line end.
pub(crate) fn look(line: &[u8]) -> Look {
    let told = match line.first() {
        Some(b'0'..=b'9') => console(line),
        Some(b'{') => object(line),
        Some(b'[') => request(line),
        _ => None,
    };
    told.unwrap_or(Look::Matters)
}

/// Whether a line is a record as istiod, the agent, Envoy and ztunnel print it: with a time and a level in columns, or a
/// request. Nothing stands in front of it.
pub(crate) fn is_console(line: &[u8]) -> bool {
    let inner = line.strip_prefix(b"[");
    let text = inner.unwrap_or(line);
    let behind = time_end(text).and_then(|end| text.get(end..)).unwrap_or(b"");
    match inner {
        Some(_) => behind.starts_with(b"] \""),
        None => ["\tinfo\t", "\twarn\t", "\terror\t", "\twarning\t", "\tdebug\t"]
            .iter()
            .any(|level| behind.starts_with(level.as_bytes())),
    }
}

/// Whether a line is information that speaks of no failure: it ends no run of successes.
pub(crate) fn is_calm(line: &[u8]) -> bool {
    let behind = time_end(line).and_then(|end| line.get(end..)).unwrap_or(line);
    let is_information = ["\tinfo\t", "\tdebug\t", "{\"level\":\"info\"", "{\"level\":\"debug\""]
        .iter()
        .any(|level| behind.starts_with(level.as_bytes()));
    is_information && !FIND.trouble.is_match(line)
}

/// The destinations an access line speaks of; `None` for other lines and for failures that speak of more than those.
pub(crate) fn destinations(line: &[u8]) -> Option<Destinations> {
    // `unknown source`, `workload is unknown`: about a pod, not about a destination.
    if memmem::find(line, b"unknown").is_some() {
        return None;
    }
    if line.starts_with(b"[") {
        return Some(Request::of_text(line)?.about());
    }
    if let Some(at) = FIND.dst_addr.find(line) {
        let value = &line[at + b" dst.addr=".len()..];
        return Some([hash(&value[..memchr(b' ', value)?]), 0]);
    }
    if let Some(addr) = string_of(line, &FIND.json_dst_addr) {
        return Some([hash(addr), 0]);
    }
    line.starts_with(b"{").then(|| Request::of_json(line)).flatten().map(|request| request.about())
}

/// `2026-11-21T04:01:19.718048Z⇥info⇥...`
fn console(line: &[u8]) -> Option<Look> {
    let rest = line.get(time_end(line)?..)?.strip_prefix(b"\t")?;
    let rest = match rest.strip_prefix(b"info\t") {
        Some(rest) => rest,
        None => rest.strip_prefix(b"debug\t").or_else(|| rest.strip_prefix(b"trace\t"))?,
    };
    if let Some(fields) = rest.strip_prefix(b"access\tconnection complete\t") {
        return connection(fields);
    }
    Some(if MESSAGES.stand_in(rest) { Look::Matters } else { Look::Quiet })
}

/// Where the timestamp ends that begins a line: 27 bytes in all programs of Istio, others by search.
fn time_end(line: &[u8]) -> Option<usize> {
    let head = line.first_chunk::<20>()?;
    let shaped = head[4] == b'-'
        && head[7] == b'-'
        && head[10] == b'T'
        && head[13] == b':'
        && head[16] == b':'
        && head[19] == b'.';
    if !shaped || !head[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    if line.get(26) == Some(&b'Z') {
        return Some(27);
    }
    let digits = line[20..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    (line.get(20 + digits) == Some(&b'Z')).then_some(21 + digits)
}

/// The fields of ztunnel's access line, text form.
fn connection(fields: &[u8]) -> Option<Look> {
    let fields = fields.trim_ascii_end();
    let (source, rest) = split(fields.strip_prefix(b"src.addr=")?, b' ')?;
    // An error is always the last field.
    if !fields[memrchr(b' ', fields)? + 1..].starts_with(b"duration=\"") {
        return None;
    }
    let tail = rest.len().saturating_sub(160);
    let rest = &rest[..tail + FIND.bytes_sent.rfind(&rest[tail..])?];
    let target =
        &rest[FIND.dst_addr.find(rest).map(|at| at + b" dst.addr=".len()).or_else(|| after(rest, b"dst.addr="))?..];
    let target = &target[..memchr(b' ', target)?];
    Some(Look::Worked(Success { key: hash(rest) ^ hash(host(source)).rotate_left(17), about: [hash(target), 0] }))
}

/// `{"level":"info","time":"2026-11-21T04:01:19.718048Z","scope":...` of istiod, the agent and ztunnel, and access lines.
fn object(line: &[u8]) -> Option<Look> {
    let Some(rest) = line.strip_prefix(b"{\"level\":\"") else { return Request::of_json(line)?.look() };
    let rest =
        rest.strip_prefix(b"info").or_else(|| rest.strip_prefix(b"debug")).or_else(|| rest.strip_prefix(b"trace"))?;
    let rest = rest.strip_prefix(b"\",\"time\":\"")?;
    let mut rest = rest.get(time_end(rest)?..)?.strip_prefix(b"\"")?;
    let whole = rest;
    // Then the scope, the caller and the message, each where there is one.
    for _ in 0..3 {
        let (key, value) = split(rest.strip_prefix(b",\"")?, b'"')?;
        let value = value.strip_prefix(b":\"")?;
        match key {
            b"msg" | b"message" => {
                let is_connection = whole.starts_with(b",\"scope\":\"access\"");
                return match value.strip_prefix(b"connection complete\",\"src.addr\":\"") {
                    Some(fields) if is_connection => json_connection(fields),
                    _ if is_connection => None,
                    _ => Some(if MESSAGES.begin(value) || MESSAGES.is_inside(value) {
                        Look::Matters
                    } else {
                        Look::Quiet
                    }),
                };
            }
            b"scope" | b"caller" => rest = value.get(memchr(b'"', value)? + 1..)?,
            _ => return None,
        }
    }
    None
}

/// The fields of ztunnel's access line, JSON form, from the value of `src.addr` on.
fn json_connection(fields: &[u8]) -> Option<Look> {
    let (source, rest) = split(fields, b'"')?;
    let fields = fields.trim_ascii_end().strip_suffix(b"\"}")?;
    let last = &fields[memrchr(b',', fields)? + 1..];
    if !last.starts_with(b"\"duration\":\"") {
        return None;
    }
    let tail = rest.len().saturating_sub(160);
    let rest = &rest[..tail + FIND.json_bytes_sent.rfind(&rest[tail..])?];
    let target = string_of(rest, &FIND.json_dst_addr)?;
    Some(Look::Worked(Success { key: hash(rest) ^ hash(host(source)).rotate_left(17), about: [hash(target), 0] }))
}

/// Envoy's access line, text form.
fn request(line: &[u8]) -> Option<Look> {
    Request::of_text(line)?.look()
}

/// The columns of an Envoy access line that tell whether it worked, and where it went.
struct Request<'a> {
    code: &'a [u8],
    flags: &'a [u8],
    details: &'a [u8],
    termination: &'a [u8],
    transport: &'a [u8],
    grpc_status: &'a [u8],
    upstream: &'a [u8],
    cluster: &'a [u8],
}

impl<'a> Request<'a> {
    /// `[time] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 43 2 1 "-" "agent" "id" "authority" "upstream" cluster ...`,
    /// Istio's text default since 1.6.
    fn of_text(line: &'a [u8]) -> Option<Request<'a>> {
        let inner = line.strip_prefix(b"[")?;
        let rest = inner.get(time_end(inner)?..)?.strip_prefix(b"] \"")?;
        let (_, rest) = split(rest, b'"')?;
        let (code, rest) = split(rest.strip_prefix(b" ")?, b' ')?;
        let (flags, rest) = split(rest, b' ')?;
        let (details, rest) = split(rest, b' ')?;
        let (termination, rest) = split(rest, b'"')?;
        let (transport, rest) = split(rest, b'"')?;
        // Forwarded for, user agent, request id, authority and upstream are quoted.
        let mut quotes = memchr::memchr_iter(b'"', rest);
        let opens = quotes.nth(8)?;
        let closes = quotes.next()?;
        let (cluster, _) = split(rest.get(closes + 1..)?.strip_prefix(b" ")?, b' ')?;
        let upstream = &rest[opens + 1..closes];
        let termination = termination.trim_ascii_end();
        Some(Request { code, flags, details, termination, transport, grpc_status: b"-", upstream, cluster })
    }

    /// A JSON object with Istio's keys in any order.
    fn of_json(line: &'a [u8]) -> Option<Request<'a>> {
        let or_none = |finder| string_of(line, finder).unwrap_or(b"-".as_slice());
        Some(Request {
            flags: string_of(line, &FIND.flags)?,
            code: value_of(line, &FIND.code)?,
            details: or_none(&FIND.details),
            termination: or_none(&FIND.termination),
            transport: or_none(&FIND.transport),
            grpc_status: value_of(line, &FIND.grpc_status).unwrap_or(b"-".as_slice()),
            upstream: or_none(&FIND.upstream),
            cluster: or_none(&FIND.cluster),
        })
    }

    fn about(&self) -> Destinations {
        let known = |name: &[u8]| if matches!(name, b"-" | b"") { 0 } else { hash(name) };
        [known(self.upstream), known(self.cluster)]
    }

    /// Only what is served beyond doubt is a success; the reader of access lines decides about the rest.
    fn look(&self) -> Option<Look> {
        let code = match self.code {
            b"0" => 0,
            [a, b, c] if self.code.iter().all(u8::is_ascii_digit) => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return None,
        };
        let answered = matches!(code, 0 | 100..=400 | 402 | 404..=406 | 409..=424);
        let plain = |value: &[u8]| matches!(value, b"-" | b"");
        let served = answered
            && plain(self.flags)
            && (plain(self.details) || self.details == b"via_upstream")
            && plain(self.termination)
            && plain(self.transport)
            && matches!(self.grpc_status, b"-" | b"" | b"0" | b"OK" | b"null")
            && !self.cluster.starts_with(b"BlackHole");
        let about = self.about();
        served.then_some(Look::Worked(Success { key: about[0] ^ about[1].rotate_left(23), about }))
    }
}

/// Where keys are found. A search that is built once costs little per line.
struct Find {
    /// Words that every report of a failure has one of.
    trouble: AhoCorasick,
    dst_addr: memmem::Finder<'static>,
    bytes_sent: memmem::FinderRev<'static>,
    json_dst_addr: memmem::Finder<'static>,
    json_bytes_sent: memmem::FinderRev<'static>,
    flags: memmem::Finder<'static>,
    code: memmem::Finder<'static>,
    details: memmem::Finder<'static>,
    termination: memmem::Finder<'static>,
    transport: memmem::Finder<'static>,
    grpc_status: memmem::Finder<'static>,
    upstream: memmem::Finder<'static>,
    cluster: memmem::Finder<'static>,
}

static FIND: LazyLock<Find> = LazyLock::new(|| Find {
    trouble: AhoCorasick::new(["fail", "error", "den", "refus", "reject", "unable", "cannot", "could not"])
        .expect("a few short words fit every limit"),
    dst_addr: memmem::Finder::new(" dst.addr="),
    bytes_sent: memmem::FinderRev::new(" bytes_sent="),
    json_dst_addr: memmem::Finder::new("\"dst.addr\":"),
    json_bytes_sent: memmem::FinderRev::new(",\"bytes_sent\":"),
    flags: memmem::Finder::new("\"response_flags\":"),
    code: memmem::Finder::new("\"response_code\":"),
    details: memmem::Finder::new("\"response_code_details\":"),
    termination: memmem::Finder::new("\"connection_termination_details\":"),
    transport: memmem::Finder::new("\"upstream_transport_failure_reason\":"),
    grpc_status: memmem::Finder::new("\"grpc_status\":"),
    upstream: memmem::Finder::new("\"upstream_host\":"),
    cluster: memmem::Finder::new("\"upstream_cluster\":"),
});

/// The value behind a JSON key: a string's content, or a bare word.
fn value_of<'a>(line: &'a [u8], key: &memmem::Finder<'_>) -> Option<&'a [u8]> {
    let value = &line[key.find(line)? + key.needle().len()..];
    match value.strip_prefix(b"\"") {
        Some(text) => Some(&text[..memchr(b'"', text)?]),
        None => Some(&value[..value.iter().position(|byte| matches!(byte, b',' | b'}'))?]),
    }
}

/// As [`value_of`], for keys whose value is a string or null.
fn string_of<'a>(line: &'a [u8], key: &memmem::Finder<'_>) -> Option<&'a [u8]> {
    value_of(line, key).map(|value| if value == b"null" { b"-" } else { value })
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let found = memchr(at, text)?;
    Some((&text[..found], &text[found + 1..]))
}

fn after(text: &[u8], prefix: &[u8]) -> Option<usize> {
    text.starts_with(prefix).then_some(prefix.len())
}

/// An address without its port, which differs from connection to connection.
fn host(addr: &[u8]) -> &[u8] {
    &addr[..memrchr(b':', addr).unwrap_or(addr.len())]
}

/// A hash in four lanes: the same on every machine, and fast on the few hundred bytes that name a connection.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |lane: u64, word: u64| (lane.rotate_left(23) ^ word).wrapping_mul(K);
    let word = |part: &[u8]| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    };
    let mut lanes = [K, K.rotate_left(16), K.rotate_left(32), K.rotate_left(48)];
    let mut chunks = bytes.chunks_exact(32);
    for chunk in &mut chunks {
        for (lane, part) in lanes.iter_mut().zip(chunk.chunks_exact(8)) {
            *lane = mix(*lane, u64::from_le_bytes(part.try_into().unwrap_or_default()));
        }
    }
    for (lane, part) in lanes.iter_mut().zip(chunks.remainder().chunks(8)) {
        *lane = mix(*lane, word(part));
    }
    let all = lanes.iter().fold(bytes.len() as u64, |all, lane| mix(all, *lane));
    all ^ (all >> 29)
}

/// How the messages begin that are below a warning and matter.
struct Messages {
    /// What stands inside of those that begin with a value.
    inside: Vec<memmem::Finder<'static>>,
    /// Bit `n` of a word: a message begins with four bytes that hash to `n`.
    four: [u64; 64],
    /// Sorted.
    begins: Vec<Box<[u8]>>,
}

/// Longest begin of a message that is compared. Shorter than a sentence, so that its variants are taken, too.
const BEGIN_MAX: usize = 12;

/// Shortest begin that tells messages apart.
const BEGIN_MIN: usize = 4;

/// Begins shared with what busy istiods print most, and what those that matter hold besides.
const ALSO_NEEDED: [(&[u8], &[u8]); 1] = [(b"Push debounc", b" for config Secret/")];

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| Messages::of(signatures()));

impl Messages {
    fn of(signatures: impl Iterator<Item = &'static Signature>) -> Messages {
        let mut four = [0u64; 64];
        let mut begins: Vec<Box<[u8]>> = Vec::new();
        let mut inside: Vec<String> = Vec::new();
        for example in signatures.flat_map(|signature| signature.examples).filter(|one| is_useful_information(one)) {
            let message = message_of(example);
            let begin = constant_begin(example, &message);
            if begin.len() < BEGIN_MIN {
                inside.push(constant_inside(example, &message).to_string());
                continue;
            }
            let slot = slot(begin.as_bytes());
            four[slot / 64] |= 1 << (slot % 64);
            begins.push(begin.as_bytes().into());
        }
        begins.sort_unstable();
        begins.dedup();
        inside.sort_unstable();
        inside.dedup();
        let inside = inside.iter().map(|part| memmem::Finder::new(part).into_owned()).collect();
        Messages { inside, four, begins }
    }

    /// Whether a message that matters stands in a line's columns behind the level.
    fn stand_in(&self, columns: &[u8]) -> bool {
        self.begin_in(columns) || self.is_inside(columns)
    }

    fn is_inside(&self, text: &[u8]) -> bool {
        self.inside.iter().any(|part| part.find(text).is_some())
    }

    /// Whether a message that matters begins in one of the columns: behind the level, the scope, the place in the source.
    fn begin_in(&self, columns: &[u8]) -> bool {
        let mut rest = columns;
        for _ in 0..3 {
            if self.begin(rest) {
                return true;
            }
            match split(rest, b'\t') {
                Some((_, more)) => rest = more,
                None => return false,
            }
        }
        false
    }

    /// Whether a message that matters begins here, behind Envoy's tags where there are some.
    fn begin(&self, text: &[u8]) -> bool {
        let text = behind_tags(text);
        let Some(four) = text.get(..4) else { return false };
        let slot = slot(four);
        self.four[slot / 64] >> (slot % 64) & 1 == 1 && self.is_begun(text)
    }

    fn is_begun(&self, text: &[u8]) -> bool {
        let behind = self.begins.partition_point(|begin| &**begin <= text);
        let nearest = self.begins[..behind].iter().rev();
        let mut alike = nearest.take_while(|begin| begin[..4] == text[..4]);
        alike.any(|begin| text.starts_with(begin) && has_what_is_also_needed(begin, text))
    }
}

fn has_what_is_also_needed(begin: &[u8], text: &[u8]) -> bool {
    let also = ALSO_NEEDED.iter().find(|(known, _)| *known == begin);
    also.is_none_or(|(_, needed)| memmem::find(text, needed).is_some())
}

fn slot(text: &[u8]) -> usize {
    let four = text.iter().take(4).fold(0u32, |four, byte| four << 8 | u32::from(*byte));
    (four.wrapping_mul(0x9e37_79b1) >> 20) as usize
}

/// Text behind `[C5639][S7201092609648127836] ` and `[Tags: "ConnectionId":"79"] `.
fn behind_tags(text: &[u8]) -> &[u8] {
    if !text.starts_with(b"[") {
        return text;
    }
    let head = &text[..text.len().min(256)];
    memmem::find(head, b"] ").map_or(text, |at| &text[at + 2..])
}

/// Whether an example is information of a form we look at, and says more than that it is known.
fn is_useful_information(example: &str) -> bool {
    let columns = example.starts_with(|c: char| c.is_ascii_digit() || c == '{');
    let quick = columns
        && [&["\tinfo\t", "\tdebug\t", "\ttrace\t"][..], &["\"level\":\"info\"", "\"level\":\"debug\""]]
            .concat()
            .iter()
            .any(|level| example.contains(level));
    if !quick {
        return false;
    }
    let event = read(example);
    // Access lines are told by their columns.
    let is_access = matches!(event.signature, Some("envoy-access" | "ztunnel-access"));
    let says = !matches!(event.fact, Fact::Known | Fact::Opaque(_)) && !is_access;
    says && event.level < Level::Warn
}

fn read(text: &str) -> Event {
    parse(&Line::alone(Origin::default(), text))
}

/// An example's message as it stands in a line.
fn message_of(example: &str) -> Cow<'_, str> {
    let (said, _) = header::read(example, None);
    if said.message.is_empty() {
        // DNS access lines have fields only.
        return Cow::Owned(example.rsplit('\t').next().unwrap_or("").to_string());
    }
    Cow::Owned(said.message.into_owned())
}

/// The part that a message must have, for messages that begin with a value: the longest one without which the example is
/// not understood.
fn constant_inside<'a>(example: &str, message: &'a str) -> &'a str {
    let varies = |c: char| !c.is_ascii() || c.is_ascii_digit() || "\"'[](){}<>=/\\@:".contains(c);
    let mut parts: Vec<&str> = message.split(varies).map(str::trim).filter(|part| part.len() >= BEGIN_MIN).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let signature = read(example).signature;
    let needs = |other: &str| read(&example.replace(other, "q")).signature != signature;
    // A part may hold names: all of its words must be needed.
    let is_needed = |part: &&&str| part.split(' ').all(needs);
    parts.iter().find(is_needed).copied().unwrap_or(message)
}

/// The begin of a message without which the example is not understood: its first words up to one that varies.
fn constant_begin<'a>(example: &str, message: &'a str) -> &'a str {
    let message = std::str::from_utf8(behind_tags(message.as_bytes())).unwrap_or(message);
    let varies = |c: char| !c.is_ascii() || c.is_ascii_digit() || "\"'[](){}<>=/\\@".contains(c);
    let known = read(example);
    let from = example.find(message).unwrap_or(0);
    let is_needed = |word: &str| {
        let (columns, said) = example.split_at(from);
        let other = read(&format!("{columns}{}", said.replacen(word, "q", 1)));
        other.signature != known.signature || other.fact.kind() != known.fact.kind()
    };
    let mut end = 0;
    for word in message.split_inclusive(' ') {
        if word.contains(varies) || end >= BEGIN_MAX || !is_needed(word.trim_end()) {
            break;
        }
        end += word.len();
    }
    &message[..message.floor_char_boundary(end.min(BEGIN_MAX))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_below_a_warning_that_says_something_is_read() {
        for example in signatures().flat_map(|signature| signature.examples) {
            let first = example.lines().next().unwrap_or("");
            let event = read(example);
            let says = !matches!(event.fact, Fact::Known | Fact::Opaque(_) | Fact::Connection(_) | Fact::Request(_));
            assert!(!says || event.level >= Level::Warn || can_matter(first), "{example}");
        }
    }

    /// A begin that is taken to be constant but varies would make the scan skip lines: every letter of it is changed.
    #[test]
    fn what_is_compared_of_a_message_does_not_vary() {
        for example in signatures().flat_map(|signature| signature.examples).filter(|e| is_useful_information(e)) {
            let message = message_of(example);
            let begin = match constant_begin(example, &message) {
                begin if begin.len() < BEGIN_MIN => constant_inside(example, &message).to_string(),
                begin => begin.to_string(),
            };
            let Some(from) = example.find(&begin) else { panic!("{begin} stands in {example}") };
            let known = read(example);
            for (at, c) in begin.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
                let mut varied = example.to_string();
                let other = if c.eq_ignore_ascii_case(&'q') { "z" } else { "q" };
                varied.replace_range(from + at..from + at + 1, other);
                let event = read(&varied);
                let same = event.signature == known.signature && event.fact.kind() == known.fact.kind();
                let first = varied.lines().next().unwrap_or("");
                assert!(!same || can_matter(first), "reads as the example, but is skipped: {varied}");
            }
        }
    }

    #[test]
    fn ordinary_lines_are_told_from_those_that_matter() {
        let quiet = [
            "2026-11-21T04:01:19.718048Z\tinfo\tdelta\tCDS: PUSH request for node:web-1.shop resources:69",
            "2026-11-21T04:01:19.718048Z\tdebug\tenvoy http\t[C1][S2] request end stream",
            "{\"level\":\"info\",\"time\":\"2026-11-21T04:01:19.718048Z\",\"scope\":\"ads\",\"msg\":\"all is well\"}",
        ];
        for line in quiet {
            assert_eq!(look(line.as_bytes()), Look::Quiet, "{line}");
        }
        let matters = [
            "2026-11-21T04:01:19.718048Z\twarn\tads\tx",
            "2026-11-21T04:01:19.718048Z\tinfo\taccess\tconnection complete\tsrc.addr=1.2.3.4:5 dst.addr=1.2.3.5:6",
            "[2026-11-21T04:01:19.718Z] \"GET / HTTP/1.1\" 403 - rbac_access_denied_matched_policy[none] - \"-\" 0 19 0 - \"-\" \"-\" \"-\" \"-\" \"-\" outbound|80||a - - - - -",
            "[2026-11-21T04:01:19.718Z] \"GET / HTTP/1.1\" 200",
            "{\"level\":\"info\"}",
            "{",
            "",
            "a sentence",
        ];
        for line in matters {
            assert_eq!(look(line.as_bytes()), Look::Matters, "{line}");
        }
    }

    #[test]
    fn successes_of_one_kind_are_equal_whatever_the_port() {
        let text = |port: u16, to: &str| {
            format!(
                "2026-11-21T04:01:19.718048Z\tinfo\taccess\tconnection complete\tsrc.addr=10.0.0.1:{port} src.workload=\"a\" \
                 dst.addr={to}:15008 direction=\"outbound\" bytes_sent={port} bytes_recv=1 duration=\"{port}ms\""
            )
        };
        let key = |line: &str| match look(line.as_bytes()) {
            Look::Worked(success) => success.key,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(key(&text(1, "10.0.0.2")), key(&text(2, "10.0.0.2")));
        assert_ne!(key(&text(1, "10.0.0.2")), key(&text(1, "10.0.0.3")));
    }

    #[test]
    fn no_line_cut_short_panics() {
        for example in signatures().flat_map(|signature| signature.examples) {
            for end in 0..example.len() {
                look(&example.as_bytes()[..end]);
                destinations(&example.as_bytes()[..end]);
            }
        }
    }
}
