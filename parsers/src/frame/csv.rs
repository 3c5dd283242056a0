//! Tables exported as CSV whose cells hold log lines: one cell of a row is the record.

use super::prefix::Source;
use super::start::{self, Start};
use crate::time::{self, Time};

/// Names of the column that holds the record, as log stores export it.
const MESSAGES: [&str; 9] =
    ["message", "msg", "log", "line", "_raw", "@message", "textpayload", "jsonpayload.message", "body"];

/// What the header of an export says about its columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    message: usize,
    time: Option<usize>,
    namespace: Option<usize>,
    pod: Option<usize>,
    container: Option<usize>,
}

/// A record taken out of its row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) outer_at: Option<Time>,
    pub(super) source: Option<Source>,
}

impl Columns {
    /// The columns, if this line is an export's header.
    pub(super) fn of_header(line: &str) -> Option<Columns> {
        let names: Vec<String> = cells(line)?.iter().map(|name| name.to_ascii_lowercase()).collect();
        let is_name = |name: &String| {
            (1..=60).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_@. -/".contains(&c))
        };
        if names.len() < 2 || !names.iter().all(is_name) {
            return None;
        }
        let ends_in = |words: &[&str]| {
            names.iter().position(|name| words.iter().any(|word| name.rsplit(['.', '/', ' ']).next() == Some(*word)))
        };
        Some(Columns {
            message: names.iter().position(|name| MESSAGES.contains(&name.as_str()))?,
            time: ends_in(&["@timestamp", "timestamp", "time", "_time", "date"]),
            namespace: ends_in(&["namespace", "namespace_name"]),
            pod: ends_in(&["pod", "pod_name", "podname"]),
            container: ends_in(&["container", "container_name", "containername"]),
        })
    }

    /// The record of a row.
    pub(super) fn row(&self, line: &str) -> Option<Row> {
        let mut cells = cells(line)?;
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).map_or("", String::as_str);
        let outer_at = time::rfc3339(cell(self.time).as_bytes()).map(|(at, _)| at);
        let source = Source {
            namespace: cell(self.namespace).into(),
            pod: cell(self.pod).into(),
            container: cell(self.container).into(),
        };
        let text = std::mem::take(cells.get_mut(self.message)?);
        Some(Row { text, outer_at, source: (source != Source::default()).then_some(source) })
    }
}

/// The record of a row without a header: the last quoted cell that begins as a record does and is more than a time.
pub(super) fn lone_row(line: &str) -> Option<Row> {
    let time = time::rfc3339(line.as_bytes()).filter(|(_, used)| line[*used..].starts_with(','));
    if !line.starts_with('"') && time.is_none() {
        return None;
    }
    let cells = cells(line)?;
    let is_record = |cell: &&String| {
        let is_time = time::rfc3339(cell.as_bytes()).is_some_and(|(_, used)| used == cell.len());
        !is_time && matches!(start::of(cell), Some(Start::Dated | Start::Json | Start::Level))
    };
    let text = cells.iter().rev().find(is_record)?.clone();
    let outer_at = cells.iter().filter(|cell| **cell != text).find_map(|cell| time::rfc3339(cell.as_bytes()));
    Some(Row { text, outer_at: outer_at.map(|(at, _)| at), source: None })
}

/// Whether a row goes on with the next line: a quoted cell is open.
pub(super) fn is_open(line: &str) -> bool {
    line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
}

/// The cells of a row; `None` where it is none. Quotes inside of quoted cells are doubled (RFC 4180).
fn cells(line: &str) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (cell, more) = rest.split_once(',').map_or((rest, None), |(cell, more)| (cell, Some(more)));
            cells.push(cell.trim().to_string());
            match more {
                Some(more) => rest = more,
                None => return Some(cells),
            }
            continue;
        };
        let mut cell = String::new();
        rest = quoted;
        loop {
            let (part, more) = rest.split_once('"')?;
            cell.push_str(part);
            let Some(doubled) = more.strip_prefix('"') else {
                rest = more;
                break;
            };
            cell.push('"');
            rest = doubled;
        }
        cells.push(cell);
        if rest.trim_end().is_empty() {
            return Some(cells);
        }
        rest = rest.strip_prefix(',')?;
    }
}
