//! The outline of a JSON document from its first bytes: keys and shapes, enough to tell what it is.

/// How many bytes are looked at.
const HEAD_MAX: usize = 64 << 10;
/// How deep.
const DEPTH_MAX: usize = 4;
/// How many keys of an object.
const KEYS_MAX: usize = 64;

/// A value as far as it was seen.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) enum Outline {
    /// Keys and their values in their order.
    Object(Vec<(String, Outline)>),
    /// The first element; `None` for an empty array.
    Array(Option<Box<Outline>>),
    /// A string's text.
    Text(String),
    /// `null`.
    Null,
    /// A number or a truth value.
    Plain,
    /// Too deep, beyond the bytes looked at, or no JSON.
    #[default]
    Unseen,
}

impl Outline {
    /// Outlines a document.
    pub(super) fn of(bytes: &[u8]) -> Outline {
        Scanner { text: &bytes[..bytes.len().min(HEAD_MAX)], at: 0 }.value(0)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> &Outline {
        self.fields().iter().find(|(known, _)| known == key).map_or(&Outline::Unseen, |(_, value)| value)
    }

    /// Whether it is an object that has these keys.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.fields().iter().any(|(known, _)| known == key))
    }

    /// Whether it is an object that has one of these keys.
    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(&[key]))
    }

    /// Whether it is an object with keys, all of them among these.
    pub(super) fn has_only(&self, keys: &[&str]) -> bool {
        !self.fields().is_empty() && self.fields().iter().all(|(known, _)| keys.contains(&known.as_str()))
    }

    /// The fields of an object; none for anything else.
    pub(super) fn fields(&self) -> &[(String, Outline)] {
        match self {
            Outline::Object(fields) => fields,
            _ => &[],
        }
    }

    /// The value of the first key.
    pub(super) fn first(&self) -> &Outline {
        self.fields().first().map_or(&Outline::Unseen, |(_, value)| value)
    }

    /// The first element of an array.
    pub(super) fn element(&self) -> &Outline {
        match self {
            Outline::Array(Some(element)) => element,
            _ => &Outline::Unseen,
        }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Outline {
        match self.peek() {
            Some(b'{') if depth < DEPTH_MAX => self.object(depth),
            Some(b'[') if depth < DEPTH_MAX => self.array(depth),
            Some(b'{' | b'[') => {
                self.skip();
                Outline::Unseen
            }
            Some(b'"') => self.string().map_or(Outline::Unseen, Outline::Text),
            Some(b'n') => self.word(b"null", Outline::Null),
            Some(b't') => self.word(b"true", Outline::Plain),
            Some(b'f') => self.word(b"false", Outline::Plain),
            Some(b'-' | b'0'..=b'9') => {
                while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || b"+-.".contains(c)) {
                    self.at += 1;
                }
                Outline::Plain
            }
            _ => {
                self.at = self.text.len();
                Outline::Unseen
            }
        }
    }

    fn word(&mut self, word: &[u8], outline: Outline) -> Outline {
        let is_it = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at = if is_it { self.at + word.len() } else { self.text.len() };
        if is_it { outline } else { Outline::Unseen }
    }

    fn object(&mut self, depth: usize) -> Outline {
        self.at += 1;
        let mut fields = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    let Some(key) = self.string() else { break };
                    if self.peek() != Some(b':') {
                        self.at = self.text.len();
                        break;
                    }
                    self.at += 1;
                    let value = self.value(depth + 1);
                    if fields.len() < KEYS_MAX {
                        fields.push((key, value));
                    }
                }
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                _ => {
                    self.at = self.text.len();
                    break;
                }
            }
        }
        Outline::Object(fields)
    }

    fn array(&mut self, depth: usize) -> Outline {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Outline::Array(None);
        }
        let element = self.value(depth + 1);
        // What follows the first element has its shape.
        self.rest();
        Outline::Array(Some(Box::new(element)))
    }

    /// Passes a value that begins with a bracket.
    fn skip(&mut self) {
        self.at += 1;
        self.rest();
    }

    /// Passes what is left of the array or object that is open.
    fn rest(&mut self) {
        let mut open = 1u32;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// A string's text with escapes as written; `None` where it does not end.
    fn string(&mut self) -> Option<String> {
        let begin = self.at + 1;
        let mut at = begin;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => {
                    self.at = self.text.len();
                    return None;
                }
            }
        }
        self.at = at + 1;
        Some(String::from_utf8_lossy(&self.text[begin..at]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_shapes_are_seen_in_their_order() {
        let outline = Outline::of(
            br#" {"a.b":{"ns":{"Shards":{"x":[1]},"n":null}},"c":[{"d":"e\"f"},{"g":1}],"h":[],"i":-1.5e3}"#,
        );
        assert!(outline.has(&["a.b", "c", "h", "i"]));
        assert!(outline.first().first().has(&["Shards", "n"]));
        assert_eq!(outline.get("c").element().get("d"), &Outline::Text("e\\\"f".into()));
        assert_eq!((outline.get("h"), outline.get("i")), (&Outline::Array(None), &Outline::Plain));
        assert!(outline.has_only(&["a.b", "c", "h", "i", "j"]) && !outline.has_only(&["a.b"]));
        assert_eq!(Outline::of(b" null\n"), Outline::Null);
    }

    #[test]
    fn no_begin_of_a_document_panics_and_what_was_seen_is_kept() {
        let text = br#"[{"a":{"b":"c\"d","e":[1,{}]},"n":nul},{"f":true}] x"#;
        for end in 0..text.len() {
            for from in 0..end {
                Outline::of(&text[from..end]);
            }
        }
        assert!(Outline::of(br#"{"totalClients":3,"clients":[{"connectionId":"we"#).has(&["totalClients"]));
        assert_eq!(Outline::of(&[b'['; 100_000]).element().element().element().element(), &Outline::Unseen);
    }
}
