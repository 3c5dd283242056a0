//! Cuts JSON into its parts without reading them, so that a broken or missing part costs itself only.

use memchr::memchr2;

/// The parts of an object or an array.
pub(crate) struct Parts<'a> {
    /// Keys (raw, empty in an array) and values, in their order. The last value is partial where the text ends in it.
    pub(crate) parts: Vec<(&'a [u8], &'a [u8])>,
    /// Where it ends, behind its last bracket; `None` where the text ends first.
    pub(crate) end: Option<usize>,
    /// Whether the text ends within the last value.
    pub(crate) is_partial: bool,
}

impl<'a> Parts<'a> {
    /// Cuts the object or array that `text` begins with.
    pub(crate) fn of(text: &'a [u8]) -> Parts<'a> {
        let mut parts = Vec::new();
        let mut at = 1;
        let mut key: &[u8] = b"";
        let is_object = text.first() == Some(&b'{');
        let mut key_comes = is_object;
        loop {
            let Some(byte) = text.get(at) else { return Parts { parts, end: None, is_partial: false } };
            match byte {
                b'}' | b']' => return Parts { parts, end: Some(at + 1), is_partial: false },
                b',' => key_comes = is_object,
                b'"' if key_comes => {
                    let Some(end) = string_end(text, at) else { return Parts { parts, end: None, is_partial: false } };
                    key = &text[at + 1..end - 1];
                    key_comes = false;
                    at = end;
                    continue;
                }
                byte if byte.is_ascii_whitespace() || *byte == b':' => {}
                _ => {
                    let end = value_end(text, at);
                    parts.push((key, &text[at..end.unwrap_or(text.len())]));
                    let Some(end) = end else { return Parts { parts, end: None, is_partial: true } };
                    at = end;
                    continue;
                }
            }
            at += 1;
        }
    }

    /// The raw value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.parts.iter().find(|(known, _)| *known == key.as_bytes()).map(|(_, value)| *value)
    }

    /// The plain string of a key; empty where it is none.
    pub(crate) fn str(&self, key: &str) -> &'a str {
        let quoted = self.get(key).and_then(|value| value.strip_prefix(b"\"")?.strip_suffix(b"\""));
        quoted.and_then(|plain| std::str::from_utf8(plain).ok()).unwrap_or("")
    }
}

/// Where the value that begins at `at` ends; `None` where the text ends first. Always behind `at`.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => return string_end(text, at),
        b'{' | b'[' => {}
        _ => {
            let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            return text[at..].iter().position(is_end).map(|length| at + length);
        }
    }
    let mut depth = 0usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where the string whose quote is at `at` ends, behind its closing quote.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_cut_into_its_members() {
        let text = br#"{"a" : "x\"}", "b":[1,{"c":2}] ,"d":null} {"next":1}"#;
        let cut = Parts::of(text);
        assert_eq!(cut.str("a"), "x\\\"}");
        assert_eq!(cut.get("b"), Some(br#"[1,{"c":2}]"#.as_slice()));
        assert_eq!(cut.get("d"), Some(b"null".as_slice()));
        assert_eq!(cut.end.map(|end| &text[end..]), Some(br#" {"next":1}"#.as_slice()));
    }

    #[test]
    fn no_cut_text_panics_and_none_has_an_end() {
        let text = br#"{"a":{"b":"c\"d","e":[1,{}]},"configs":[{"x":"\\"}]}"#;
        for end in 0..text.len() {
            assert_eq!(Parts::of(&text[..end]).end, None);
            for from in 0..end {
                Parts::of(&text[from..end]);
            }
        }
        assert!(Parts::of(text).end.is_some());
    }
}
