//! JSON without its secrets: text by text, so that all that is none stays as it was written, also what is cut or broken.

use std::borrow::Cow;

use meshwhy_parsers::cert;
use meshwhy_parsers::objects::is_secret;

use super::document::{REDACTED, coded_value, credential, hides, inside_short, is_copy, is_credential, plain_value};

/// Objects within objects that are told apart; what lies deeper is taken out.
const FRAMES_MAX: usize = 256;
/// How far behind a Secret's begin its kind is looked for: no object is larger.
const KIND_WITHIN: usize = 4 << 20;

/// A text that is JSON, or would be.
pub(super) fn redacted(text: &str, depth: usize) -> Cow<'_, str> {
    let mut json = Json {
        text,
        depth,
        out: String::new(),
        copied: 0,
        frames: Vec::new(),
        beyond: 0,
        has_keys: text.contains("\"kty\""),
    };
    json.walk();
    if json.copied == 0 {
        return Cow::Borrowed(text);
    }
    json.out.push_str(&text[json.copied..]);
    Cow::Owned(json.out)
}

struct Json<'t> {
    text: &'t str,
    depth: usize,
    out: String,
    /// How much of the text stands in `out`, changed or not.
    copied: usize,
    frames: Vec<Frame<'t>>,
    /// Objects that are open beyond those in `frames`.
    beyond: usize,
    /// Whether it holds JSON web keys, of which some are private.
    has_keys: bool,
}

/// An object or an array that is open.
struct Frame<'t> {
    from: usize,
    is_object: bool,
    /// The key that was read last; of an array the one it stands under.
    key: &'t str,
    /// What its `name` or `key` says: what its `value` is.
    name: &'t str,
    place: Place,
    /// Among arguments: the next one is secret.
    value_comes: bool,
    /// Whether it is a Secret, where that was asked.
    is_secret: Option<bool>,
}

/// What the texts of an object are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    /// Values of a Secret in base64.
    Coded,
    /// Values of a Secret as they are.
    Values,
    /// Annotations of a Secret, which may repeat it.
    Notes,
    Arguments,
    /// All of it is secret.
    Hidden,
}

impl<'t> Json<'t> {
    fn walk(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'{' | b'[' => self.open(at, *byte == b'{'),
                b'}' | b']' => match self.beyond {
                    0 => drop(self.frames.pop()),
                    _ => self.beyond -= 1,
                },
                b'"' => {
                    let end = end_of_string(bytes, at);
                    let next =
                        bytes[end..].iter().position(|byte| !byte.is_ascii_whitespace()).map(|after| end + after);
                    let is_key = next.and_then(|next| bytes.get(next)) == Some(&b':');
                    self.string(at, end, is_key);
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn open(&mut self, from: usize, is_object: bool) {
        if FRAMES_MAX <= self.frames.len() {
            self.beyond += 1;
            return;
        }
        let (key, place) = match self.frames.last() {
            Some(above) => (above.key, above.place),
            None => ("", Place::Plain),
        };
        let below_key = self.frames.last().is_some_and(|above| above.is_object);
        let place = match key {
            _ if place == Place::Hidden => Place::Hidden,
            _ if below_key && hides(key) => Place::Hidden,
            "data" | "binaryData" if below_key && self.is_secret(1) => Place::Coded,
            "stringData" => Place::Values,
            "annotations" if below_key && self.is_secret(2) => Place::Notes,
            "args" | "command" if !is_object => Place::Arguments,
            _ => Place::Plain,
        };
        self.frames.push(Frame {
            from,
            is_object,
            key: if is_object { "" } else { key },
            name: "",
            place,
            value_comes: false,
            is_secret: None,
        });
    }

    /// Whether the object that is open so many levels up is a Secret.
    fn is_secret(&mut self, up: usize) -> bool {
        let text = self.text;
        let Some(at) = self.frames.len().checked_sub(up) else { return false };
        let Some(frame) = self.frames.get_mut(at) else { return false };
        // Items of some lists do not say what they are.
        *frame.is_secret.get_or_insert_with(|| {
            kind(&text.as_bytes()[frame.from..]).map_or_else(|| text.contains("Secret"), |kind| kind == b"Secret")
        })
    }

    /// A string from its quote to behind its end.
    fn string(&mut self, from: usize, end: usize, is_key: bool) {
        let quoted = &self.text[from..end];
        let raw = quoted.strip_prefix('"').unwrap_or(quoted);
        let raw = raw.strip_suffix('"').unwrap_or(raw);
        let depth = self.depth;
        let has_keys = self.has_keys;
        let is_beyond = 0 < self.beyond;
        let Some(frame) = self.frames.last_mut() else { return };
        if is_key && frame.is_object && !is_beyond {
            frame.key = raw;
            return;
        }
        let is_named = frame.is_object && matches!(frame.key, "name" | "key" | "header_name");
        if is_named && frame.place == Place::Plain {
            frame.name = raw;
        }
        let value = || serde_json::from_str::<String>(quoted).unwrap_or_else(|_| raw.to_string());
        let hidden = || (!raw.is_empty() && raw != REDACTED).then(|| REDACTED.to_string());
        let key = frame.key;
        let changed = match frame.place {
            _ if is_beyond => hidden(),
            Place::Coded => coded_value(&value(), depth),
            Place::Values => plain_value(&value(), depth),
            Place::Notes if !is_known_note(key) => hidden(),
            Place::Hidden => match key {
                "name" | "filename" | "environment_variable" | "@type" | "provider_name" => None,
                // As Envoy itself writes it.
                "inline_bytes" | "inlineBytes" => Some(cert::to_base64(b"[redacted]")),
                _ => hidden(),
            },
            Place::Arguments => argument(frame, &value(), depth),
            Place::Plain | Place::Notes if !frame.is_object => short(raw, value, depth),
            Place::Plain | Place::Notes if is_copy(key) => hidden(),
            Place::Plain | Place::Notes if is_credential(key) => credential(&value()),
            Place::Plain | Place::Notes
                if matches!(key, "value" | "raw_value" | "rawValue" | "string_value")
                    && !frame.name.is_empty()
                    && (is_credential(frame.name) || is_secret(frame.name, raw)) =>
            {
                hidden()
            }
            // Settings of the environment, as proxies repeat them.
            Place::Plain | Place::Notes if is_variable(key) && is_secret(key, raw) => hidden(),
            Place::Plain | Place::Notes if has_keys && matches!(key, "d" | "p" | "q" | "dp" | "dq" | "qi" | "k") => {
                hidden()
            }
            Place::Plain | Place::Notes => short(raw, value, depth),
        };
        if let Some(changed) = changed {
            self.out.push_str(&self.text[self.copied..from]);
            self.out.push_str(&serde_json::to_string(&changed).unwrap_or_default());
            self.copied = end;
        }
    }
}

fn short(raw: &str, value: impl Fn() -> String, depth: usize) -> Option<String> {
    if raw.contains('\\') {
        let value = value();
        return match inside_short(&value, depth + 1) {
            Cow::Owned(changed) => Some(changed),
            Cow::Borrowed(changed) => (changed != value).then(|| changed.to_string()),
        };
    }
    match inside_short(raw, depth + 1) {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(changed) => (changed != raw).then(|| changed.to_string()),
    }
}

/// `--token`, then its value; `--password=value`; a script.
fn argument(frame: &mut Frame<'_>, value: &str, depth: usize) -> Option<String> {
    let is_flag = value.starts_with('-');
    if std::mem::take(&mut frame.value_comes) && !is_flag {
        return Some(REDACTED.to_string());
    }
    match value.split_once('=') {
        Some((name, secret)) if is_secret(name, secret) => return Some(format!("{name}={REDACTED}")),
        None if is_flag && is_secret(value, "x") => frame.value_comes = true,
        _ => {}
    }
    match inside_short(value, depth + 1) {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    }
}

/// Annotations of a Secret that are known to hold no secret.
fn is_known_note(key: &str) -> bool {
    const KNOWN: [&str; 4] = ["istio.io/", "kubernetes.io/", "helm.sh/", "k8s.io/"];
    !is_copy(key) && KNOWN.iter().any(|known| key.contains(known))
}

/// `PILOT_JWT_KEY`.
fn is_variable(key: &str) -> bool {
    key.len() > 2 && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Behind the quote that ends a string; the end of the text where none does.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        if bytes[at + found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
    bytes.len()
}

/// The kind that an object says it is of.
fn kind(object: &[u8]) -> Option<&[u8]> {
    let object = &object[..object.len().min(KIND_WITHIN)];
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = object.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return None,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let end = end_of_string(object, at);
                if depth == 1 && object.get(at..end) == Some(b"\"kind\"") {
                    let rest = object.get(end..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
                    let value = rest.strip_prefix(b"\"")?;
                    return value.split(|byte| *byte == b'"').next();
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}
