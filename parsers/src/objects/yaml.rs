//! Cuts YAML into documents and list items by their indentation, and reads each one with a budget, so that a broken,
//! a missing or a hostile part costs itself only.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy};

/// Deepest nesting read; schemas of custom resources reach about 60, filters of a listener about 40.
const DEPTH_MAX: usize = 128;
/// Most nodes of one item: the biggest definitions of custom resources have some ten thousand, a listener of a big gateway
/// some hundred thousand, a proxy's whole dump some millions.
const NODES_MAX: usize = 8_000_000;

/// Reads one document. The error is the line where it fails, from 1, and no more: the text may be a Secret.
pub(crate) fn value(text: &str) -> Result<Value, usize> {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_nodes: NODES_MAX,
        max_events: NODES_MAX * 2,
        max_total_scalar_bytes: text.len().saturating_mul(2).max(1 << 20),
        // Writers that name everything they repeat use many; what they may add up to is limited below.
        max_aliases: text.len(),
        enforce_alias_anchor_ratio: false,
    };
    let mut options = serde_saphyr::options! {
        budget: budget,
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::AsOrdinary,
    };
    // An alias costs no more than its own text would, so that a small file stays a small load.
    options.alias_limits.max_total_replayed_events = text.len();
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.location().map_or(1, |place| place.line() as usize))
}

/// The documents of a text with the number of the line before each, without their `---`; empty ones are left out.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut before, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        if bare == "---" || bare == "..." || line.starts_with("--- ") {
            found.push((before, &text[begin..at]));
            // `--- # Source: chart/templates/x.yaml`
            (begin, before) = (at + line.len(), number + 1);
        }
        at += line.len();
    }
    found.push((before, &text[begin..]));
    found.retain(|(_, document)| document.lines().any(is_content));
    found
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// A document that is a list of items, one below the other.
pub(super) struct List<'a> {
    /// The document without its items.
    pub(super) head: String,
    /// Each item, a sequence of one, with the number of the line before it.
    pub(super) items: Vec<(usize, &'a str)>,
    /// Whether something follows the items: what is printed in the order of its keys ends with `kind` and `metadata`.
    pub(super) is_closed: bool,
}

/// The parts of a document whose `items` stand one below the other, or which is nothing but items.
pub(super) fn list(document: &str) -> Option<List<'_>> {
    let mut head = String::new();
    let mut starts = Vec::new();
    let mut indent = None;
    let mut end = None;
    let mut in_items = document.lines().find(|line| is_content(line)).is_some_and(|line| line.starts_with("- "));
    let mut at = 0;
    for (number, line) in document.split_inclusive('\n').enumerate() {
        let bare = line.trim_start_matches(' ');
        let column = line.len() - bare.len();
        let is_item = bare.starts_with("- ") || bare.trim_end() == "-";
        if in_items && end.is_none() && is_content(line) {
            let indent = *indent.get_or_insert(column);
            if column == indent && is_item {
                starts.push((number, at));
            } else if column <= indent {
                // `items: []` and a key behind the items end them.
                end = Some(at);
            }
        }
        if !in_items || end.is_some() {
            match line.trim_end() {
                "items:" if end.is_none() => in_items = true,
                _ => head.push_str(line),
            }
        }
        at += line.len();
    }
    if starts.is_empty() {
        return None;
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([end.unwrap_or(document.len())]);
    let items = starts.iter().zip(ends).map(|((number, from), to)| (*number, &document[*from..to])).collect();
    Some(List { head, items, is_closed: end.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_at_its_own_items_only() {
        let text =
            "apiVersion: v1\nitems:\n- a:\n  - x\n  b: |\n    - no item\n\n    items:\n# remark\n- a: 2\nkind: List\n";
        let list = list(text).expect("a list");
        assert_eq!(list.head, "apiVersion: v1\nkind: List\n");
        assert_eq!(list.items.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 9]);
        assert_eq!(value(list.items[0].1), Ok(serde_json::json!([{"a": ["x"], "b": "- no item\n\nitems:\n"}])));
        assert!(list.is_closed);
    }

    #[test]
    fn items_may_be_indented() {
        let list = list("kind: List\nitems:\n  - a: 1\n    b: 2\n  - a: 2\n").expect("a list");
        assert_eq!(value(list.items[1].1), Ok(serde_json::json!([{"a": 2}])));
        assert!(!list.is_closed);
    }

    #[test]
    fn documents_are_cut_at_their_marks() {
        let text = "# made by hand\n---\na: 1\n--- # Source: chart/x.yaml\nb: |\n  ---\n...\n# nothing\n";
        assert_eq!(documents(text), [(2, "a: 1\n"), (4, "b: |\n  ---\n")]);
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 8].join(",")));
        }
        assert!(value(&text).is_err());
    }

    #[test]
    fn an_error_is_a_line_number() {
        assert_eq!(value("a: 1\nb: 2\nc\n"), Err(3));
    }
}
