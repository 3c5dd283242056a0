//! What transports and people put in front of a record: CRI, Docker, kubectl, stern, a collector's time, quoting marks.

use std::borrow::Cow;

use serde::Deserialize;

use super::start::{self, Start};
use crate::time::{self, Time};

/// A pod's name as a transport gives it; empty parts are not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub(super) namespace: Box<str>,
    pub(super) pod: Box<str>,
    pub(super) container: Box<str>,
}

/// A physical line without its transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Bare<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) source: Option<Source>,
    pub(super) outer_at: Option<Time>,
    /// The transport cut the record here: the next line of the same output continues it.
    pub(super) partial: bool,
    /// Which of the program's outputs a transport names, for joining partial lines: `stdout`, `stderr`.
    pub(super) output: Output,
}

/// Standard output or error, as CRI and Docker keep them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    #[default]
    Stdout,
    Stderr,
}

/// What was learnt from earlier lines of the stream; a prefix that is ambiguous alone is taken where it was seen before.
#[derive(Clone, Debug, Default)]
pub(super) struct Habits {
    /// Two timestamps were seen: every line has an outer one.
    outer: bool,
    /// The source stern printed last.
    stern: Option<(String, Source)>,
    /// Marks of quoting (`> `, `# `) were seen in front of a record.
    quoted: Option<char>,
}

impl Habits {
    /// Whether nothing learnt can change how a bare line is read.
    pub(super) fn is_none(&self) -> bool {
        !self.outer && self.stern.is_none() && self.quoted.is_none()
    }

    /// Takes the transport's prefixes off a line.
    pub(super) fn strip<'a>(&mut self, line: Cow<'a, str>) -> Bare<'a> {
        match line {
            Cow::Borrowed(line) => self.strip_borrowed(line),
            Cow::Owned(line) => {
                let bare = self.strip_borrowed(&line);
                Bare { text: Cow::Owned(bare.text.into_owned()), ..bare }
            }
        }
    }

    fn strip_borrowed<'a>(&mut self, line: &'a str) -> Bare<'a> {
        let mut bare = Bare { text: Cow::Borrowed(line), ..Bare::default() };
        let body = line.trim_start_matches([' ', '\t']);
        if let Some(rest) = self.unquote(body) {
            bare.text = Cow::Borrowed(rest);
        }
        if body.starts_with('{') {
            if let Some(found) = json(body) {
                return Bare { outer_at: found.outer_at.or(bare.outer_at), ..found };
            }
            return bare;
        }
        let Cow::Borrowed(mut text) = bare.text else { return bare };
        if let Some((source, rest)) = kubectl(text).or_else(|| kubetail(text)) {
            bare.source = Some(source);
            text = rest;
        } else if let Some((source, rest)) = self.stern(text) {
            bare.source = Some(source);
            text = rest;
        }
        bare.text = Cow::Borrowed(text);
        let Some((at, used)) = timestamp(text) else { return bare };
        let rest = &text[used..];
        if let Some((output, partial, rest)) = cri(rest) {
            return Bare { text: Cow::Borrowed(rest), outer_at: Some(at), partial, output, ..bare };
        }
        let Some(rest) = rest.strip_prefix([' ', '\t']) else { return bare };
        // Some consoles put a bar between their own time and the record.
        let inner = rest.trim_start_matches([' ', '\t', '|']);
        match start::of(inner) {
            Some(Start::Dated | Start::Json) => {
                self.outer = true;
                let mut inside = Bare { text: Cow::Borrowed(inner), ..Bare::default() };
                if inner.starts_with('{') {
                    inside = json(inner).unwrap_or(inside);
                }
                let source = inside.source.or(bare.source);
                return Bare { outer_at: Some(at), source, ..inside };
            }
            // One time and a level: the record's own.
            Some(Start::Level) => {}
            _ if self.outer => return Bare { text: Cow::Borrowed(rest), outer_at: Some(at), ..bare },
            _ => {}
        }
        bare
    }

    /// `> record`, `# record`, `#record`.
    fn unquote<'a>(&mut self, body: &'a str) -> Option<&'a str> {
        let mark = body.chars().next().filter(|c| matches!(c, '>' | '#' | '|'))?;
        let rest = body.trim_start_matches(['>', '#', '|', ' ']);
        if matches!(start::of(rest), Some(Start::Dated | Start::Json | Start::Level)) {
            self.quoted = Some(mark);
            return Some(rest);
        }
        (self.quoted == Some(mark)).then(|| body[mark.len_utf8()..].strip_prefix(' ').unwrap_or(&body[1..]))
    }

    /// stern's default `pod container record`, with a namespace in front for all namespaces, and a pod alone.
    fn stern<'a>(&mut self, text: &'a str) -> Option<(Source, &'a str)> {
        if let Some((prefix, source)) = &self.stern {
            if let Some(rest) = text.strip_prefix(prefix.as_str()) {
                return Some((source.clone(), rest));
            }
            if text == prefix.trim_end() {
                return Some((source.clone(), ""));
            }
        }
        // A name cannot begin a date, a bracket or an object.
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
        let mut rest = text;
        while names.len() < 3 {
            let (name, after) = rest.split_once(' ')?;
            if !is_name(name) {
                return None;
            }
            names.push(name);
            rest = after;
            let inner = rest.trim_start();
            // A level alone proves nothing: `connection error  warning ...` may be a sentence.
            if matches!(start::of(inner), Some(Start::Dated | Start::Json)) {
                let source = match names.as_slice() {
                    [pod] if pod.contains('-') => Source { pod: (*pod).into(), ..Source::default() },
                    [pod, container] => {
                        Source { pod: (*pod).into(), container: (*container).into(), ..Source::default() }
                    }
                    [namespace, pod, container] => {
                        Source { namespace: (*namespace).into(), pod: (*pod).into(), container: (*container).into() }
                    }
                    _ => return None,
                };
                let prefix = &text[..text.len() - rest.len()];
                self.stern = Some((prefix.to_string(), source.clone()));
                return Some((source, rest));
            }
        }
        None
    }
}

/// `[pod/istiod-6d9cdf88cf-l47tf/discovery] record`.
fn kubectl(text: &str) -> Option<(Source, &str)> {
    let (name, rest) = text.strip_prefix("[pod/")?.split_once(']')?;
    let (pod, container) = name.split_once('/')?;
    let source = Source { pod: pod.into(), container: container.into(), ..Source::default() };
    Some((source, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// kubetail's `[pod container] record`, and `[pod] record` where a pod has one container only.
fn kubetail(text: &str) -> Option<(Source, &str)> {
    let (names, rest) = text.strip_prefix('[')?.split_once("] ")?;
    matches!(start::of(rest.trim_start()), Some(Start::Dated | Start::Json)).then_some(())?;
    let (pod, container) = names.split_once(' ').unwrap_or((names, ""));
    let named = is_name(pod) && (is_name(container) || container.is_empty() && pod.contains('-'));
    let source = Source { pod: pod.into(), container: container.into(), ..Source::default() };
    named.then_some((source, rest))
}

/// A timestamp at the start; its zone may be written without a colon, as some collectors do.
fn timestamp(text: &str) -> Option<(Time, usize)> {
    start::dated(text.as_bytes()).then_some(())?;
    time::rfc3339(text.as_bytes())
}

/// ` stdout F ` behind CRI's timestamp: the output, whether the line is partial, and the record.
fn cri(rest: &str) -> Option<(Output, bool, &str)> {
    let rest = rest.strip_prefix(' ')?;
    let (output, rest) = match (rest.strip_prefix("stdout "), rest.strip_prefix("stderr ")) {
        (Some(rest), _) => (Output::Stdout, rest),
        (_, Some(rest)) => (Output::Stderr, rest),
        _ => return None,
    };
    let (tag, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    // Tags may be joined by colons; the first one says whether the line is whole.
    match tag.split(':').next() {
        Some("F") => Some((output, false, rest)),
        Some("P") => Some((output, true, rest)),
        _ => None,
    }
}

/// A record wrapped in a JSON object: Docker's json-file, stern's and collectors' JSON.
fn json(text: &str) -> Option<Bare<'static>> {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        log: Option<String>,
        message: Option<String>,
        stream: Option<String>,
        #[serde(borrow)]
        time: Option<Cow<'a, str>>,
        #[serde(rename = "podName")]
        pod: Option<String>,
        #[serde(rename = "containerName")]
        container: Option<String>,
        namespace: Option<String>,
        kubernetes: Option<Kubernetes>,
    }
    #[derive(Default, Deserialize)]
    struct Kubernetes {
        #[serde(default)]
        pod_name: String,
        #[serde(default)]
        container_name: String,
        #[serde(default)]
        namespace_name: String,
    }
    // Most objects are records themselves and must not be read twice.
    let mentions = |key: &str| memchr::memmem::find(text.as_bytes(), key.as_bytes()).is_some();
    let docker = text.starts_with("{\"log\":") || (mentions("\"log\":") && mentions("\"stream\":"));
    if !docker && !mentions("\"podName\":") && !mentions("\"pod_name\":") {
        return None;
    }
    let wrapped: Wrapped<'_> = serde_json::from_str(text).ok()?;
    let named = wrapped.pod.is_some() || wrapped.kubernetes.is_some();
    let record = match (wrapped.log, wrapped.message) {
        (Some(log), _) if docker || named => log,
        (None, Some(message)) if named => message,
        _ => return None,
    };
    let outer_at = wrapped.time.and_then(|at| time::rfc3339(at.as_bytes())).map(|(at, _)| at);
    let kubernetes = wrapped.kubernetes.unwrap_or_default();
    let either = |a: Option<String>, b: String| a.unwrap_or(b).into_boxed_str();
    let source = Source {
        namespace: either(wrapped.namespace, kubernetes.namespace_name),
        pod: either(wrapped.pod, kubernetes.pod_name),
        container: either(wrapped.container, kubernetes.container_name),
    };
    // Docker cuts records at 16 KiB; only the last part ends in a line feed.
    let partial = text.starts_with("{\"log\":") && !named && !record.ends_with('\n');
    let output = if wrapped.stream.as_deref() == Some("stderr") { Output::Stderr } else { Output::Stdout };
    Some(Bare {
        text: Cow::Owned(record.trim_end_matches(['\n', '\r']).to_string()),
        source: named.then_some(source),
        outer_at,
        partial,
        output,
    })
}

/// A Kubernetes name.
fn is_name(word: &str) -> bool {
    (2..=253).contains(&word.len())
        && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.')
        && !word.ends_with(['-', '.'])
}

/// Removes ANSI colour escapes (`ESC [ ... letter`).
pub(super) fn without_colours(line: Cow<'_, str>) -> Cow<'_, str> {
    if !line.contains('\x1b') {
        return line;
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = &*line;
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(parameters) = rest.strip_prefix('[') {
            let end = parameters.find(|c: char| c.is_ascii_alphabetic()).map_or(parameters.len(), |end| end + 1);
            rest = &parameters[end..];
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}
