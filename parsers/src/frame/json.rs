//! JSON objects that span lines, compacted to one while they are read.

/// Follows an object through its lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl Scanner {
    /// Appends a line's part of the object to `compact`, without the blanks between tokens. Returns how many bytes of the
    /// line belong to the object, if it ends here.
    pub(super) fn take(&mut self, line: &str, compact: &mut String) -> Option<usize> {
        let mut from = 0;
        for (at, byte) in line.bytes().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        compact.push_str(&line[from..=at]);
                        return Some(at + 1);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {
                    compact.push_str(&line[from..at]);
                    from = at + 1;
                }
                _ => {}
            }
        }
        compact.push_str(&line[from..]);
        None
    }

    /// Whether a line break here would stand inside a string.
    pub(super) fn in_string(&self) -> bool {
        self.in_string
    }

    /// Whether the object that begins a line ends with it; a comma may follow.
    pub(super) fn ends_in(line: &str) -> bool {
        let end = Scanner::default().take(line, &mut String::new());
        end.is_some_and(|end| line[end..].trim_matches([',', ' ', '\t']).is_empty())
    }
}
