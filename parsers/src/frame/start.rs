//! What a line begins with: whether it starts a record of its own, and which.

use crate::event::Level;
use crate::time;

/// How a record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A date and time, bare, in brackets or as klog prints it.
    Dated,
    /// A JSON object.
    Json,
    /// A level column without a time: pasted lines.
    Level,
    /// The first line of a dying Go program, which has no header at all.
    Crash,
    /// A sentence that a command prints.
    Sentence,
}

/// First words of a Go program's death, and of ztunnel's where it cannot start: these lines begin a record and the stack or
/// the causes behind them belong to it.
const CRASHES: [&str; 10] = [
    "panic: ",
    "fatal error: ",
    "runtime: ",
    "unexpected fault address ",
    "SIGTERM: ",
    "Error: invalid env var ",
    "Error: invalid configuration: ",
    "Error: error parsing proxy config: ",
    "Error: invalid uri: ",
    "Error: admin server starts",
];

/// First words of what commands say. After an empty line such a line does not continue a dated record.
const SENTENCES: [&str; 11] = [
    "Error from server",
    "Error: ",
    "error: ",
    "Warning: ",
    "curl: (",
    "* ",
    "upstream connect error",
    "command terminated with exit code",
    "Defaulted container ",
    "Failed ",
    "Connection ",
];

/// How the record that this line starts begins; `None` where the line starts none. No leading blanks.
pub(super) fn of(text: &str) -> Option<Start> {
    let bytes = text.as_bytes();
    let start = match *bytes.first()? {
        b'0'..=b'9' if dated(bytes) => Start::Dated,
        b'[' if dated(&bytes[1..]) => Start::Dated,
        b'I' | b'W' | b'E' | b'F' if klog(bytes) => Start::Dated,
        b'{' if json(bytes) => Start::Json,
        c if c.is_ascii_alphabetic() && level(text) => Start::Level,
        _ if CRASHES.iter().any(|crash| text.starts_with(crash)) => Start::Crash,
        _ if SENTENCES.iter().any(|sentence| text.starts_with(sentence)) => Start::Sentence,
        _ => return None,
    };
    Some(start)
}

/// Whether bytes begin with a date and a time of day: `2026-11-21T03:38:13`, with `/` and a blank too.
pub(super) fn dated(bytes: &[u8]) -> bool {
    let Some(head) = bytes.first_chunk::<19>() else { return false };
    let digits = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18];
    head[13] == b':'
        && head[16] == b':'
        && matches!(head[4], b'-' | b'/')
        && head[7] == head[4]
        && matches!(head[10], b'T' | b' ' | b't')
        && digits.iter().all(|at| head[*at].is_ascii_digit())
}

/// `E0102 15:04:05.678901`.
fn klog(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(u8::is_ascii_digit) && time::klog(&bytes[1..], 2_000).is_some()
}

/// A JSON object: an opening brace with nothing, a key or a closing brace behind it.
fn json(bytes: &[u8]) -> bool {
    let rest = bytes[1..].trim_ascii_start();
    matches!(rest.first(), None | Some(b'"' | b'}'))
}

/// A level word as a column: a TAB, a run of blanks, or a scope behind it.
fn level(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    if end > 8 || Level::from_word(&text[..end]).is_none() {
        return false;
    }
    let after = &text[end..];
    let body = after.trim_start_matches(['\t', ' ']);
    let gap = &after[..after.len() - body.len()];
    if gap.starts_with('\t') || gap.len() >= 2 {
        return true;
    }
    let word = body.split([' ', '\t']).next().unwrap_or("");
    gap.len() == 1 && (word == "access" || word == "envoy" || word.contains("::") || word.contains('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_a_record_is_told_by_its_first_columns() {
        let cases = [
            ("2026-11-21T03:38:13.842131Z\tinfo\tx", Some(Start::Dated)),
            ("2021/02/09 16:15:09 ERROR: x", Some(Start::Dated)),
            ("[2022-08-15T15:58:51.232Z] \"- - -\" 0", Some(Start::Dated)),
            ("E0102 15:04:05.678901       1 a.go:1] x", Some(Start::Dated)),
            ("{\"level\":\"info\"}", Some(Start::Json)),
            ("{", Some(Start::Json)),
            ("{ some prose", None),
            ("error\taccess\tconnection failed", Some(Start::Level)),
            ("warning    envoy config    x", Some(Start::Level)),
            ("INFO proxy{uid=1}:outbound{id=2}: ztunnel::proxy: x", Some(Start::Level)),
            ("error: could not get access token", Some(Start::Sentence)),
            ("panic: close of closed channel", Some(Start::Crash)),
            ("goroutine 1 [running]:", None),
            ("01:30:01.942451 IP 10.0.0.1", None),
            ("Caused by:", None),
        ];
        for (text, start) in cases {
            assert_eq!(of(text), start, "{text}");
        }
    }
}
