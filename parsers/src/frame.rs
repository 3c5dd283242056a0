//! Bytes into records: chunk joins, transport prefixes, multi-line records, table headers, the length cap.

mod csv;
mod json;
mod prefix;
mod runs;
mod start;
mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use self::json::Scanner;
use self::prefix::{Bare, Habits, Output, Source};
use self::runs::{Kept, LastLine, Runs};
use self::start::Start;
use self::table::Table;
use crate::command;
use crate::event::Line;
use crate::origin::{Origin, SharedOrigin};
use crate::scan::{self, Look, Success};
use crate::time::Time;

/// Longest physical line that is kept whole; the rest of a longer one is dropped and counted. The longest lines seen are
/// configuration dumps and rejected resources of some hundred KiB.
pub const LINE_MAX: usize = 1 << 20;

/// Longest text of a record of many lines; later lines are dropped and counted. As much as one line may have.
pub const RECORD_MAX: usize = LINE_MAX;

/// Most lines of a record whose text is kept: a dump of all goroutines says what matters at its head.
pub const RECORD_LINES_MAX: u32 = 20_000;

/// Most lines of an export's row: a quote that is never closed must not swallow the stream.
const ROW_LINES_MAX: u32 = 500;

/// Most origins of one stream that are kept at hand; a stream of more pods makes some of them anew.
const ORIGINS_MAX: usize = 4_096;

/// How much of a stream is one window: runs of successes end with it, and readers in parallel cut at its edge. Large enough
/// that a healthy log gives few records, small enough for many cores.
pub const WINDOW: u64 = 64 << 20;

/// Shortest undated line that may be broken at a colon: headings and labels are shorter than what terminals wrap.
const WRAPPED_MIN: usize = 60;

/// Whether lines that cannot matter are skipped unparsed. The result is the same; off is for the test that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Skip them.
    On,
    /// Hand out every line.
    Off,
}

/// What was counted while framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Physical lines.
    pub lines: u64,
    /// Lines skipped because their format is known and they cannot matter.
    pub quiet: u64,
    /// Lines cut at the length cap, or dropped behind the cap of their record.
    pub cut: u64,
}

/// Whether a line begins a record whatever stands before it: a place to cut a stream.
///
/// To read a file on several threads, cut it at such lines and frame each part with [`Framer::at`]. When a part is read
/// and its framer [`Framer::is_plain`], the next part gives the records that a single framer would give, up to their line
/// numbers, which count from the part's begin. When it is not, something reaches over the cut: let that framer read the
/// next part, too. Runs of successes end at the cuts; at the first such line behind each multiple of [`WINDOW`] they end
/// anyway, so that parts cut there give exactly what the whole gives.
pub fn starts_record(line: &[u8]) -> bool {
    let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
    match line.first() {
        Some(b'0'..=b'9') => {
            // Lines that a transport wrapped begin with its own time or brace, and may continue a record all the same.
            let at = line[..line.len().min(40)].iter().position(|byte| matches!(byte, b'\t' | b' ')).unwrap_or(0);
            let outputs: [&[u8]; 2] = [b" stdout ", b" stderr "];
            start::dated(line) && !outputs.iter().any(|output| line[at..].starts_with(output))
        }
        Some(b'[') => start::dated(&line[1..]),
        Some(b'{') => {
            line.starts_with(b"{\"level\":\"") || memchr::memmem::find(line, b"\"response_flags\":").is_some()
        }
        _ => false,
    }
}

/// Frames one stream.
///
/// A record is a line, or several where its format says so: Go stacks, YAML and JSON documents, error lists, wrapped
/// lines. Transport prefixes are taken off and recognised line by line, so a stream may switch between them.
///
/// Rows of a table carry its header, and the header is no record. The events of `kubectl describe` are rows too: their
/// header is the `Type Reason Age From Message` line, or `Events:` where that was not saved.
pub struct Framer {
    origin: SharedOrigin,
    scan: Scan,
    counts: Counts,
    /// Byte offset of the next physical line.
    seq: u64,
    /// The bytes of a line whose end has not come yet, up to the cap.
    held: Vec<u8>,
    /// How many bytes that line has so far, dropped ones included.
    held_len: u64,
    habits: Habits,
    origins: BTreeMap<Source, SharedOrigin>,
    /// The origin that a marker inside the stream named for what follows.
    marked: Option<SharedOrigin>,
    /// Records that the transport cut in parts: standard output and standard error.
    parts: [Option<Piece>; 2],
    open: Option<Open>,
    command: Option<Arc<str>>,
    /// The context that a command switched to.
    context: Option<Box<str>>,
    table: Option<Table>,
    events: Option<Arc<str>>,
    quiet: Quiet,
    /// The columns, where the stream is an export of a log store, and a row that is not complete.
    columns: Option<csv::Columns>,
    row: Option<Piece>,
    runs: Runs,
    window: u64,
    /// Where the window ends.
    window_end: u64,
}

/// A physical line, or the joined parts of one, without its transport.
struct Piece {
    origin: SharedOrigin,
    seq: u64,
    number: u64,
    lines: u32,
    outer_at: Option<Time>,
    text: String,
}

/// Lines that were skipped. The first and the last one of a window are handed out: they show how far the log reaches.
#[derive(Default)]
struct Quiet {
    /// Whether the line before was skipped: undated lines behind it belong to it, and then it is to be read after all.
    is_open: bool,
    /// Whether this window's first was handed out.
    is_begun: bool,
    last: Option<LastLine>,
}

/// Where a record stands.
struct Place {
    origin: SharedOrigin,
    seq: u64,
    number: u64,
    lines: u32,
    outer_at: Option<Time>,
}

/// A record that may grow.
struct Open {
    piece: Piece,
    header: Option<Arc<str>>,
    /// Blanks in front of its first line.
    indent: usize,
    /// Empty lines since; they belong to the record if more of it follows.
    blanks: u32,
    kind: Kind,
    /// A look at it has told that it matters.
    matters: bool,
}

/// How an open record grows.
enum Kind {
    /// A line with a time: every line that starts no record continues it.
    Dated,
    /// A line without a time: deeper indented lines continue it.
    Undated,
    /// A dying Go program: all its stacks continue it.
    Crash,
    /// A JSON object that is not closed yet.
    Json(Scanner),
    /// An event in the output of `kubectl describe`: deeper indented lines are its message.
    Event,
    /// A command that ends in a backslash.
    Command,
}

impl Framer {
    /// A framer for one stream.
    pub fn new(origin: SharedOrigin, scan: Scan) -> Framer {
        Framer::at(origin, scan, 0)
    }

    /// A framer for the part of a stream that begins at a byte offset. Line numbers count from the part's begin.
    pub fn at(origin: SharedOrigin, scan: Scan, offset: u64) -> Framer {
        Framer {
            origin,
            scan,
            counts: Counts::default(),
            seq: offset,
            held: Vec::new(),
            held_len: 0,
            habits: Habits::default(),
            origins: BTreeMap::new(),
            marked: None,
            parts: [None, None],
            open: None,
            command: None,
            context: None,
            table: None,
            events: None,
            quiet: Quiet::default(),
            columns: None,
            row: None,
            runs: Runs::new(),
            window: WINDOW,
            window_end: (offset / WINDOW + 1) * WINDOW,
        }
    }

    /// The same, which keeps the last line of so many runs of successes at most: less memory for each of many streams, and
    /// more lines handed out of a stream that speaks of more destinations.
    pub fn with_runs_max(mut self, max: usize) -> Framer {
        self.runs = Runs::up_to(max);
        self
    }

    #[cfg(test)]
    fn with_window(mut self, window: u64) -> Framer {
        self.window = window;
        self.window_end = (self.seq / window + 1) * window;
        self
    }

    /// Takes the next bytes of the stream and hands out the records they complete.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(Line)) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if self.held_len == 0 {
                self.physical(&rest[..end], end as u64 + 1, out);
            } else {
                self.hold(&rest[..end]);
                self.held_whole(1, out);
            }
            rest = &rest[end + 1..];
        }
        self.hold(rest);
    }

    /// Hands out what is complete as far as one can tell: for a stream that pauses.
    pub fn flush(&mut self, out: &mut dyn FnMut(Line)) {
        if let Some(row) = self.row.take() {
            self.join(row, out);
        }
        for output in [0, 1] {
            if let Some(part) = self.parts[output].take() {
                self.join(part, out);
            }
        }
        self.end_window(out);
    }

    /// The stream is over: hands out what is left.
    pub fn finish(&mut self, out: &mut dyn FnMut(Line)) {
        if self.held_len > 0 {
            self.held_whole(0, out);
        }
        self.flush(out);
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether nothing that was read so far changes how the next record is read: no transport's habit, no cut record, no
    /// command, table or marker reaches over it. What follows may then be framed apart, from a record's start on.
    pub fn is_plain(&self) -> bool {
        self.habits.is_none()
            && self.parts.iter().all(Option::is_none)
            && self.marked.is_none()
            && self.command.is_none()
            && self.context.is_none()
            && self.table.is_none()
            && self.events.is_none()
            && self.columns.is_none()
            && !matches!(self.open, Some(Open { kind: Kind::Command, .. }))
    }

    /// Keeps the begin of a line whose end is still to come.
    fn hold(&mut self, bytes: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.held.len()) + 1;
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.held_len += bytes.len() as u64;
    }

    fn held_whole(&mut self, line_end: u64, out: &mut dyn FnMut(Line)) {
        let mut held = std::mem::take(&mut self.held);
        let len = std::mem::take(&mut self.held_len);
        self.physical(&held, len + line_end, out);
        held.clear();
        // A long line's buffer is not kept for the short ones behind it.
        held.shrink_to(1 << 16);
        self.held = held;
    }

    /// One physical line without its line end, which took `taken` bytes of the stream.
    fn physical(&mut self, line: &[u8], taken: u64, out: &mut dyn FnMut(Line)) {
        let seq = self.seq;
        self.seq += taken;
        self.counts.lines += 1;
        let kept = &line[..line.len().min(LINE_MAX)];
        self.counts.cut += u64::from(kept.len() < line.len());
        let mut bytes = kept.strip_suffix(b"\r").unwrap_or(kept);
        if seq == 0 {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        if self.window_end <= seq && self.is_plain() && starts_record(bytes) {
            self.window_end = (seq / self.window + 1) * self.window;
            self.end_window(out);
        }
        if self.scan == Scan::On && self.is_bare() && self.skip(bytes, seq, out) {
            return;
        }
        self.open_quiet();
        let text = text_of(bytes);
        if !self.take_cell(&text, seq, out) {
            let bare = self.habits.strip(text);
            self.unwrapped(bare, seq, out);
        }
    }

    /// Takes a row of an export, or its header.
    fn take_cell(&mut self, text: &str, seq: u64, out: &mut dyn FnMut(Line)) -> bool {
        if seq == 0 {
            self.columns = csv::Columns::of_header(text);
            return self.columns.is_some();
        }
        let Some(columns) = &self.columns else {
            let Some(row) = csv::lone_row(text) else { return false };
            let (origin, number) = (self.bare_origin().clone(), self.counts.lines);
            self.join(Piece { origin, seq, number, lines: 1, outer_at: row.outer_at, text: row.text }, out);
            return true;
        };
        let mut piece = match self.row.take() {
            Some(mut piece) => {
                piece.lines += 1;
                self.counts.cut += u64::from(!append(&mut piece.text, "\n", text));
                piece
            }
            None => {
                let origin = self.marked.as_ref().unwrap_or(&self.origin).clone();
                Piece { origin, seq, number: self.counts.lines, lines: 1, outer_at: None, text: text.to_string() }
            }
        };
        if csv::is_open(&piece.text) && piece.lines < ROW_LINES_MAX {
            self.row = Some(piece);
            return true;
        }
        if let Some(row) = columns.row(&piece.text) {
            (piece.text, piece.outer_at) = (row.text, row.outer_at);
            if let Some(source) = row.source {
                piece.origin = self.origin_of(source);
            }
        }
        self.join(piece, out);
        true
    }

    /// Whether lines are records as they stand: no transport was seen, and nothing is open that takes every line.
    fn is_bare(&self) -> bool {
        let takes_all = matches!(self.open, Some(Open { kind: Kind::Json(_) | Kind::Command, .. }));
        let in_parts = self.parts[0].is_some() || self.parts[1].is_some();
        !takes_all
            && !in_parts
            && self.columns.is_none()
            && self.table.is_none()
            && self.events.is_none()
            && self.habits.is_none()
    }

    /// Skips a line that cannot matter; keeps a success. Returns whether the line is done with.
    fn skip(&mut self, line: &[u8], seq: u64, out: &mut dyn FnMut(Line)) -> bool {
        let look = scan::look(line);
        // The first quiet line of a window is handed out, with what belongs to it.
        if look == Look::Matters || (look == Look::Quiet && !self.quiet.is_begun) {
            return scan::is_console(line) && self.begin_at_once(line, seq, look, out);
        }
        self.close(out);
        let origin = self.marked.as_ref().unwrap_or(&self.origin).clone();
        let place = Place { origin, seq, number: self.counts.lines, lines: 1, outer_at: None };
        if let Look::Worked(success) = look {
            self.quiet.is_open = false;
            self.succeed(success, place, line, out);
            return true;
        }
        self.pass(place, line, out);
        // An object is whole: what follows it does not belong to it.
        self.quiet.is_open = !line.starts_with(b"{");
        true
    }

    /// Begins a record with a line that has no transport in front: its columns say so.
    fn begin_at_once(&mut self, line: &[u8], seq: u64, look: Look, out: &mut dyn FnMut(Line)) -> bool {
        self.close(out);
        self.quiet.is_open = false;
        let text = text_of(line).trim_end().to_string();
        let origin = self.bare_origin().clone();
        let piece = Piece { origin, seq, number: self.counts.lines, lines: 1, outer_at: None, text };
        let matters = look == Look::Matters;
        self.open = Some(Open { piece, header: None, indent: 0, blanks: 0, kind: Kind::Dated, matters });
        true
    }

    /// Takes the quiet line back, as a record that may grow.
    fn open_quiet(&mut self) {
        if !std::mem::take(&mut self.quiet.is_open) {
            return;
        }
        let Some(last) = &mut self.quiet.last else { return };
        let Some(line) = last.take() else { return };
        self.counts.quiet -= 1;
        let Line { origin, seq, number, lines, outer_at, text, .. } = line;
        let piece = Piece { origin, seq, number, lines, outer_at, text: text.into() };
        self.open = Some(Open { piece, header: None, indent: 0, blanks: 0, kind: Kind::Dated, matters: false });
    }

    /// Counts a quiet line, and keeps it until it proves not to be the last.
    fn pass(&mut self, place: Place, text: &[u8], out: &mut dyn FnMut(Line)) {
        let kept = Kept { place: &place, command: &self.command, text };
        self.counts.quiet += u64::from(place.lines);
        self.quiet.last.get_or_insert_with(|| LastLine::new(&place.origin)).keep(&kept);
        if !std::mem::replace(&mut self.quiet.is_begun, true) {
            let first = self.quiet.last.as_mut().and_then(LastLine::take);
            self.hand_out_ended(first, out);
        }
    }

    /// Hands out what was kept back: the last success of every run, and the last quiet line.
    fn end_window(&mut self, out: &mut dyn FnMut(Line)) {
        self.close(out);
        let mut ended = self.runs.clear();
        ended.extend(self.quiet.last.as_mut().and_then(LastLine::take));
        ended.sort_by_key(|line| line.seq);
        self.quiet.is_open = false;
        self.quiet.is_begun = false;
        self.hand_out_ended(ended, out);
    }

    /// Hands out the first success of a run, keeps the others.
    fn succeed(&mut self, success: Success, place: Place, text: &[u8], out: &mut dyn FnMut(Line)) {
        if self.runs.is_full() {
            let ended = self.runs.clear();
            self.hand_out_ended(ended, out);
        }
        // The same pods and addresses speak in several origins of one stream.
        let key = match &self.marked {
            None if Arc::ptr_eq(&place.origin, &self.origin) => success.key,
            _ => {
                let parts = [&place.origin.namespace, &place.origin.pod, &place.origin.container];
                parts.iter().fold(success.key, |key, part| key.rotate_left(9) ^ scan::hash(part.as_bytes()))
            }
        };
        self.counts.quiet += u64::from(place.lines);
        let kept = Kept { place: &place, command: &self.command, text };
        if self.runs.take(&Success { key, ..success }, &kept) {
            let first = kept.line();
            self.hand_out_ended(Some(first), out);
        }
    }

    /// Hands out lines that were counted as quiet.
    fn hand_out_ended(&mut self, ended: impl IntoIterator<Item = Line>, out: &mut dyn FnMut(Line)) {
        for line in ended {
            self.counts.quiet -= u64::from(line.lines);
            out(line);
        }
    }

    fn unwrapped(&mut self, bare: Bare<'_>, seq: u64, out: &mut dyn FnMut(Line)) {
        let Bare { text, source, outer_at, partial, output } = bare;
        let origin = match source {
            Some(source) => self.origin_of(source),
            None => self.bare_origin().clone(),
        };
        let slot = match output {
            Output::Stdout => 0,
            Output::Stderr => 1,
        };
        let piece = match self.parts[slot].take() {
            Some(mut part) => {
                part.lines += 1;
                self.counts.cut += u64::from(!append(&mut part.text, "", &text));
                part
            }
            None => Piece { origin, seq, number: self.counts.lines, lines: 1, outer_at, text: text.into_owned() },
        };
        if partial {
            self.parts[slot] = Some(piece);
        } else {
            self.join(piece, out);
        }
    }

    /// The stream's origin with what a prefix tells; the same prefix gives the same shared origin.
    fn origin_of(&mut self, source: Source) -> SharedOrigin {
        if let Some(known) = self.origins.get(&source) {
            return known.clone();
        }
        if self.origins.len() >= ORIGINS_MAX {
            self.origins.clear();
        }
        let mut origin = Origin::clone(&self.origin);
        for (part, told) in [
            (&mut origin.namespace, &source.namespace),
            (&mut origin.pod, &source.pod),
            (&mut origin.container, &source.container),
        ] {
            if !told.is_empty() {
                part.clone_from(told);
            }
        }
        let origin = Arc::new(origin);
        self.origins.insert(source, origin.clone());
        origin
    }

    /// The origin of lines without a prefix.
    fn bare_origin(&self) -> &SharedOrigin {
        self.marked.as_ref().unwrap_or(&self.origin)
    }

    /// Puts a line where it belongs: into the open record, or into a new one.
    fn join(&mut self, mut piece: Piece, out: &mut dyn FnMut(Line)) {
        piece.text.truncate(piece.text.trim_end().len());
        let indent = piece.text.len() - piece.text.trim_start_matches([' ', '\t']).len();
        let Some(piece) = self.grow_object(piece, indent, out) else { return };
        let body = &piece.text[indent..];
        if body.is_empty() || is_separator(body) {
            self.counts.quiet += u64::from(piece.lines);
            self.blank(out);
            return;
        }
        if let Some(marker) = Marker::read(body) {
            self.mark(marker, out);
            return;
        }
        if self.is_command(body) {
            self.begin_command(piece, indent, out);
            return;
        }
        let start = start::of(body);
        if self.take_row(&piece, indent, start, out) || self.take_event(&piece, indent, out) {
            return;
        }
        match start {
            Some(start) if self.starts(start, indent, body) => self.begin(start, piece, indent, out),
            _ if self.continues(&piece, indent) => self.extend(&piece, indent),
            _ => self.begin(Start::Sentence, piece, indent, out),
        }
    }

    /// Lets an unclosed JSON object take the line; gives it back where there is none, or it is not part of it.
    fn grow_object(&mut self, piece: Piece, indent: usize, out: &mut dyn FnMut(Line)) -> Option<Piece> {
        let Some(Open { piece: object, indent: outer, kind: Kind::Json(scanner), .. }) = &mut self.open else {
            return Some(piece);
        };
        let body = &piece.text[indent..];
        // An object that was cut short must not swallow the records behind it.
        let next = indent <= *outer && (start::dated(body.as_bytes()) || body.starts_with("{\""));
        if next {
            self.close(out);
            return Some(piece);
        }
        object.lines += piece.lines;
        if object.text.len() + piece.text.len() > RECORD_MAX {
            self.counts.cut += 1;
            return None;
        }
        let line = if scanner.in_string() { &piece.text[indent.min(*outer)..] } else { body };
        let end = scanner.take(line, &mut object.text)?;
        let rest = line[end..].trim_start_matches([',', ' ', '\t']).to_string();
        self.close(out);
        if rest.is_empty() || is_separator(&rest) {
            return None;
        }
        let (seq, number) = (piece.seq + (piece.text.len() - rest.len()) as u64, piece.number);
        self.join(Piece { seq, number, text: rest, ..piece }, out);
        None
    }

    fn blank(&mut self, out: &mut dyn FnMut(Line)) {
        self.table = None;
        self.events = None;
        match &mut self.open {
            Some(Open { kind: Kind::Command | Kind::Event, .. }) => self.close(out),
            Some(open) => open.blanks += 1,
            None => {}
        }
    }

    fn mark(&mut self, marker: Marker, out: &mut dyn FnMut(Line)) {
        self.close(out);
        self.table = None;
        self.events = None;
        self.command = None;
        match marker {
            Marker::Begin(source) => self.marked = Some(self.origin_of(source)),
            Marker::End => self.marked = None,
            Marker::Previous => {}
        }
    }

    /// `$ kubectl get pods`, also behind a prompt, and the rest of a command broken with a backslash.
    fn is_command(&self, body: &str) -> bool {
        if matches!(&self.open, Some(Open { kind: Kind::Command, .. })) {
            return true;
        }
        command_of(body).is_some()
    }

    fn begin_command(&mut self, piece: Piece, indent: usize, out: &mut dyn FnMut(Line)) {
        let more = piece.text.ends_with('\\');
        if let Some(Open { piece: command, kind: Kind::Command, .. }) = &mut self.open {
            command.lines += piece.lines;
            let part = piece.text[indent..].trim_end_matches(['\\', ' ']);
            self.counts.cut += u64::from(!append(&mut command.text, " ", part));
        } else {
            self.close(out);
            self.table = None;
            self.events = None;
            let text = piece.text[indent..].trim_end_matches(['\\', ' ']).to_string();
            let piece = Piece { text, ..piece };
            self.open = Some(Open { piece, header: None, indent, blanks: 0, kind: Kind::Command, matters: false });
        }
        let Some(open) = &self.open else { return };
        let ran = command_of(&open.piece.text).unwrap_or(&open.piece.text);
        self.command = Some(command::in_context(ran, self.context.as_deref()).into());
        if let Some(context) = command::switched(ran) {
            self.context = Some(context.into());
        }
        if !more {
            self.close(out);
        }
    }

    /// Takes a table's header or row.
    fn take_row(&mut self, piece: &Piece, indent: usize, start: Option<Start>, out: &mut dyn FnMut(Line)) -> bool {
        if let Some(table) = Table::opened_by(&piece.text) {
            self.close(out);
            self.table = Some(table);
            return true;
        }
        let Some(table) = &self.table else { return false };
        let is_row = !matches!(start, Some(Start::Dated | Start::Json)) && table.holds(&piece.text);
        if !is_row {
            self.table = None;
            return false;
        }
        let text = piece.text[indent.min(table.indent)..].to_string();
        let header = Some(table.header.clone());
        self.hand_out(Piece { text, origin: piece.origin.clone(), ..*piece }, header, out);
        true
    }

    /// Takes the events at the end of `kubectl describe`.
    fn take_event(&mut self, piece: &Piece, indent: usize, out: &mut dyn FnMut(Line)) -> bool {
        let body = &piece.text[indent..];
        if body == "Events:" {
            self.close(out);
            self.events = Some(body.into());
            return true;
        }
        let Some(header) = &self.events else { return false };
        if body.starts_with("Type ") && body.contains("Reason") {
            self.events = Some(body.into());
            return true;
        }
        if body.starts_with("----") {
            return true;
        }
        if body.starts_with("Normal ") || body.starts_with("Warning ") {
            let header = Some(header.clone());
            self.close(out);
            let piece = Piece { text: body.to_string(), origin: piece.origin.clone(), ..*piece };
            self.open = Some(Open { piece, header, indent, blanks: 0, kind: Kind::Event, matters: false });
            return true;
        }
        match &mut self.open {
            Some(open) if matches!(open.kind, Kind::Event) && indent > open.indent => {
                // The first line of the message is a column, the others are wrapped.
                let gap = if open.piece.lines == 1 { "  " } else { " " };
                open.piece.lines += piece.lines;
                self.counts.cut += u64::from(!append(&mut open.piece.text, gap, body));
                true
            }
            _ => {
                self.events = None;
                false
            }
        }
    }

    /// Whether a line that looks like a start is one, after what is open.
    fn starts(&self, start: Start, indent: usize, body: &str) -> bool {
        let Some(open) = &self.open else { return true };
        match (start, &open.kind) {
            (Start::Dated, _) => true,
            // Lists of goroutines and documents hold braces of their own.
            (Start::Json, Kind::Dated | Kind::Crash) => body.starts_with("{\"") || indent <= open.indent,
            (Start::Json, _) => true,
            (Start::Level, Kind::Dated) => {
                indent <= open.indent && body.contains('\t') && !is_time_alone(&open.piece.text)
            }
            (Start::Level, _) => true,
            (Start::Crash, _) => indent <= open.indent,
            (Start::Sentence, Kind::Dated) => open.blanks > 0 && indent <= open.indent,
            (Start::Sentence, Kind::Crash) => false,
            (Start::Sentence, _) => indent <= open.indent || open.blanks > 0,
        }
    }

    /// Whether a line that starts nothing belongs to the open record.
    fn continues(&self, piece: &Piece, indent: usize) -> bool {
        let Some(open) = &self.open else { return false };
        // Wrapped lines have lost the prefix of their first one; other origins' lines have their own.
        let here = Arc::ptr_eq(&open.piece.origin, &piece.origin) || Arc::ptr_eq(&piece.origin, self.bare_origin());
        let text = &open.piece.text;
        let deeper = indent > open.indent && (open.blanks == 0 || piece.text.starts_with('\t'));
        // `... the latest reset reason:` and its reason on the next line.
        let wrapped = open.blanks == 0 && text.len() >= WRAPPED_MIN && text.ends_with(':') && indent == open.indent;
        here && match open.kind {
            Kind::Dated | Kind::Crash => true,
            Kind::Undated => deeper || wrapped,
            Kind::Json(_) | Kind::Event | Kind::Command => false,
        }
    }

    fn extend(&mut self, piece: &Piece, indent: usize) {
        let Some(open) = &mut self.open else { return };
        open.piece.lines += piece.lines;
        if open.piece.lines > RECORD_LINES_MAX {
            self.counts.cut += 1;
            return;
        }
        let line = &piece.text[indent.min(open.indent)..];
        let whole = if is_one_line(&open.piece.text) || matches!(open.kind, Kind::Undated) && !line.starts_with('\t') {
            append(&mut open.piece.text, " ", line.trim_start())
        } else {
            let breaks = "\n".repeat(open.blanks as usize % 8 + 1);
            append(&mut open.piece.text, &breaks, line)
        };
        open.blanks = 0;
        self.counts.cut += u64::from(!whole);
    }

    fn begin(&mut self, start: Start, piece: Piece, indent: usize, out: &mut dyn FnMut(Line)) {
        self.close(out);
        let body = &piece.text[indent..];
        let kind = match start {
            // An access line that is complete stays as it is.
            Start::Dated if matches!(scan::look(body.as_bytes()), Look::Worked(_)) => {
                let text = body.to_string();
                self.hand_out(Piece { text, ..piece }, None, out);
                return;
            }
            Start::Dated => Kind::Dated,
            Start::Crash => Kind::Crash,
            Start::Level | Start::Sentence if piece.outer_at.is_some() => Kind::Dated,
            Start::Level | Start::Sentence => Kind::Undated,
            Start::Json if Scanner::ends_in(body) => {
                let text = body.trim_end_matches(',').to_string();
                self.hand_out(Piece { text, ..piece }, None, out);
                return;
            }
            Start::Json => {
                let mut scanner = Scanner::default();
                let mut compact = String::new();
                let _ = scanner.take(body, &mut compact);
                let piece = Piece { text: compact, ..piece };
                self.open =
                    Some(Open { piece, header: None, indent, blanks: 0, kind: Kind::Json(scanner), matters: false });
                return;
            }
        };
        let text = body.to_string();
        self.open =
            Some(Open { piece: Piece { text, ..piece }, header: None, indent, blanks: 0, kind, matters: false });
    }

    fn close(&mut self, out: &mut dyn FnMut(Line)) {
        match self.open.take() {
            Some(Open { piece, header, matters: true, .. }) => self.hand_out_read(piece, header, out),
            Some(Open { piece, header, .. }) => self.hand_out(piece, header, out),
            None => {}
        }
    }

    fn hand_out(&mut self, piece: Piece, header: Option<Arc<str>>, out: &mut dyn FnMut(Line)) {
        // A record of many lines is rare, and may say what matters in any of them.
        if self.scan == Scan::On && header.is_none() && piece.lines == 1 {
            let look = scan::look(piece.text.as_bytes());
            let Piece { origin, seq, number, lines, outer_at, .. } = &piece;
            let place =
                || Place { origin: origin.clone(), seq: *seq, number: *number, lines: *lines, outer_at: *outer_at };
            match look {
                Look::Quiet => return self.pass(place(), piece.text.as_bytes(), out),
                Look::Worked(success) => return self.succeed(success, place(), piece.text.as_bytes(), out),
                Look::Matters => {}
            }
        }
        self.hand_out_read(piece, header, out);
    }

    /// Hands out a record that is to be read.
    fn hand_out_read(&mut self, piece: Piece, header: Option<Arc<str>>, out: &mut dyn FnMut(Line)) {
        let Piece { origin, seq, number, lines, outer_at, text } = piece;
        if !self.runs.is_empty() && !scan::is_calm(text.as_bytes()) {
            let ended = self.runs.end(scan::destinations(text.as_bytes()));
            self.hand_out_ended(ended, out);
        }
        let command = self.command.clone();
        out(Line { origin, seq, number, lines, outer_at, command, header, text: text.into() });
    }
}

/// A line's bytes as text, without colours.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    prefix::without_colours(String::from_utf8_lossy(bytes))
}

/// A line that divides a saved file.
enum Marker {
    /// `==== START logs for container c of pod ns/p ====` of `kubectl cluster-info dump`.
    Begin(Source),
    /// Its end.
    End,
    /// `========= Previous log =========` of a bug report: the container's log before its restart.
    Previous,
}

impl Marker {
    fn read(body: &str) -> Option<Marker> {
        let inner = body.strip_prefix("====")?.trim_matches('=').trim();
        if let Some(rest) = inner.strip_prefix("START logs for container ") {
            let (container, pod) = rest.split_once(" of pod ")?;
            let (namespace, pod) = pod.split_once('/').unwrap_or(("", pod));
            return Some(Marker::Begin(Source {
                namespace: namespace.into(),
                pod: pod.into(),
                container: container.into(),
            }));
        }
        if inner.starts_with("END logs for container ") {
            return Some(Marker::End);
        }
        inner.starts_with("Previous log").then_some(Marker::Previous)
    }
}

/// The command behind a prompt.
pub(crate) fn command_of(body: &str) -> Option<&str> {
    if let Some(command) = body.strip_prefix("$ ") {
        return Some(command.trim_start());
    }
    const TOOLS: [&str; 6] = ["kubectl ", "istioctl ", "oc ", "curl ", "openssl ", "helm "];
    let (prompt, command) = ["$ ", "% ", "❯ ", "➜ "].iter().find_map(|mark| body.split_once(mark))?;
    let typed = TOOLS.iter().any(|tool| command.trim_start().starts_with(tool));
    (typed && prompt.len() <= 64 && !prompt.contains(['\t', '"', '='])).then(|| command.trim_start())
}

/// Lines that stand for nothing: dots for what was left out, fences, brackets around a list of objects.
fn is_separator(body: &str) -> bool {
    matches!(body, "..." | "…" | "." | ".." | "[...]" | "```" | "[" | "]" | "," | "],")
        || (body.starts_with("```") && body.len() < 16 && !body.contains(' '))
}

/// Whether a record is of a kind that is always printed as one line, so that its line breaks are somebody's wrapping:
/// access lines, and a time alone.
fn is_one_line(text: &str) -> bool {
    let head = &text[..text.floor_char_boundary(120)];
    let is_request = head.starts_with('[') && head.contains("] \"");
    let is_connection = ["access connection ", "access\tconnection ", "access    connection "]
        .iter()
        .any(|column| head.contains(column));
    is_time_alone(head) || is_request || is_connection
}

/// Whether a record is nothing but a time so far.
fn is_time_alone(text: &str) -> bool {
    text.len() < 40 && start::dated(text.as_bytes()) && !text[19..].contains([' ', '\t', ']'])
}

/// Appends a line to a record's text, unless that would pass the cap.
fn append(text: &mut String, gap: &str, line: &str) -> bool {
    if text.len() + gap.len() + line.len() > RECORD_MAX {
        return false;
    }
    text.push_str(gap);
    text.push_str(line);
    true
}

#[cfg(test)]
mod differential;

#[cfg(test)]
mod tests {
    use super::*;

    fn records(input: &[u8], step: usize) -> Vec<Line> {
        let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), Scan::Off);
        let mut records = Vec::new();
        for chunk in input.chunks(step.max(1)) {
            framer.push(chunk, &mut |record| records.push(record));
        }
        framer.finish(&mut |record| records.push(record));
        records
    }

    /// One line per record: number, lines, what stands in front, text.
    fn show(input: &str) -> Vec<String> {
        let whole = records(input.as_bytes(), usize::MAX);
        for step in [1, 2, 3, 7, 64] {
            assert_eq!(records(input.as_bytes(), step), whole, "in chunks of {step}");
        }
        let shown = whole.iter().map(|line| {
            let mut shown = format!("{}+{} ", line.number, line.lines);
            if !line.origin.pod.is_empty() {
                shown += &format!("[{}/{}/{}] ", line.origin.namespace, line.origin.pod, line.origin.container);
            }
            if let Some(at) = line.outer_at {
                shown += &format!("<{at}> ");
            }
            if let Some(header) = &line.header {
                shown += &format!("({}) ", header.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            shown + &line.text
        });
        shown.collect()
    }

    fn check(input: &str, records: &[&str]) {
        assert_eq!(show(input), records, "{input}");
    }

    #[test]
    fn transports_are_taken_off() {
        check(
            "2025-12-04T22:09:22.474517123Z stdout P 2025-12-04T22:09:22.474Z\tinfo\tone \n\
             2025-12-04T22:09:22.474517124Z stderr F 2025-12-04T22:09:22.475Z\twarn\tother\n\
             2025-12-04T22:09:22.474517125Z stdout F record\n",
            &[
                "2+1 <2025-12-04T22:09:22.474Z> 2025-12-04T22:09:22.475Z\twarn\tother",
                "1+2 <2025-12-04T22:09:22.474Z> 2025-12-04T22:09:22.474Z\tinfo\tone record",
            ],
        );
        check(
            "{\"log\":\"2025-12-04T22:09:22Z\\tinfo\\tx\\n\",\"stream\":\"stdout\",\"time\":\"2025-12-04T22:09:23Z\"}\n",
            &["1+1 <2025-12-04T22:09:23.000Z> 2025-12-04T22:09:22Z\tinfo\tx"],
        );
        check(
            "[pod/istiod-1/discovery] 2025-12-04T22:09:22.474517123Z 2025-12-04T22:09:22.474517Z\tinfo\tx\n",
            &["1+1 [/istiod-1/discovery] <2025-12-04T22:09:22.474Z> 2025-12-04T22:09:22.474517Z\tinfo\tx"],
        );
        check(
            "web-7d-x2 istio-proxy [2022-01-11T06:44:07.918Z] \"GET / HTTP/1.1\" 503 UF\n",
            &["1+1 [/web-7d-x2/istio-proxy] [2022-01-11T06:44:07.918Z] \"GET / HTTP/1.1\" 503 UF"],
        );
        check(
            "[web-7d-x2 istio-proxy] {\"response_code\":503}\n[web-7d-x2] [2022-01-11T06:44:07.918Z] \"GET / HTTP/1.1\" 200 -\n",
            &[
                "1+1 [/web-7d-x2/istio-proxy] {\"response_code\":503}",
                "2+1 [/web-7d-x2/] [2022-01-11T06:44:07.918Z] \"GET / HTTP/1.1\" 200 -",
            ],
        );
        check(
            "shop web-7d-x2 istio-proxy 2025-12-04T22:09:22Z\terror\tx:\nshop web-7d-x2 istio-proxy \t* y\n",
            &["1+2 [shop/web-7d-x2/istio-proxy] 2025-12-04T22:09:22Z\terror\tx:\n\t* y"],
        );
        check(
            "{\"message\":\"2025-12-04T22:09:22Z\\tinfo\\tx\",\"nodeName\":\"n1\",\"namespace\":\"shop\",\"podName\":\"web-1\",\"containerName\":\"istio-proxy\"}\n",
            &["1+1 [shop/web-1/istio-proxy] 2025-12-04T22:09:22Z\tinfo\tx"],
        );
        check(
            "2021-12-08 16:18:49\t{\"level\":\"info\",\"msg\":\"x\"}\n",
            &["1+1 <2021-12-08T16:18:49.000Z> {\"level\":\"info\",\"msg\":\"x\"}"],
        );
    }

    #[test]
    fn rows_of_an_export_are_their_message() {
        check(
            "\"@timestamp\",\"kubernetes.pod_name\",\"message\"\n\
             \"2025-12-04T22:09:23Z\",\"web-1\",\"2025-12-04T22:09:22Z\terror\taccess\tx error=\"\"io error\"\"\"\n\
             2025-12-04T22:09:24Z,web-2,\"2025-12-04T22:09:23Z\terror\ty:\n\t* z\"\n",
            &[
                "2+1 [/web-1/] <2025-12-04T22:09:23.000Z> 2025-12-04T22:09:22Z\terror\taccess\tx error=\"io error\"",
                "3+2 [/web-2/] <2025-12-04T22:09:24.000Z> 2025-12-04T22:09:23Z\terror\ty:\n\t* z",
            ],
        );
        check(
            "exported\n\"1\",\"[2022-01-11T06:44:07.918Z] \"\"GET / HTTP/1.1\"\" 503 UF\"\n",
            &["1+1 exported", "2+1 [2022-01-11T06:44:07.918Z] \"GET / HTTP/1.1\" 503 UF"],
        );
    }

    #[test]
    fn marks_of_pasting_are_taken_off() {
        check(
            "\u{feff}> 2025-12-04T22:09:22Z\tinfo\tx\r\n#2025-12-04T22:09:23Z \x1b[33mwarn\x1b[0m\ty\r\n    2025-12-04T22:09:24Z\terror\tz\r\n",
            &[
                "1+1 2025-12-04T22:09:22Z\tinfo\tx",
                "2+1 2025-12-04T22:09:23Z warn\ty",
                "3+1 2025-12-04T22:09:24Z\terror\tz",
            ],
        );
    }

    #[test]
    fn rows_carry_the_context_that_was_switched_to() {
        let text = b"$ kubectl config use-context west\nSwitched.\n$ kubectl get ns\nNAME   STATUS\nshop   Active\n";
        let rows = records(text, usize::MAX);
        let row = rows.iter().find(|line| line.header.is_some()).expect("a row");
        assert_eq!(row.command.as_deref(), Some("kubectl --context west get ns"));
    }

    #[test]
    fn dated_records_take_the_undated_lines_behind_them() {
        check(
            "2025-12-04T22:09:22Z\terror\terror adding secret: 1 error occurred:\n\t* exec is not allowed\n\n\tcontroller=c\n2025-12-04T22:09:23Z\tinfo\tnext\n",
            &[
                "1+3 2025-12-04T22:09:22Z\terror\terror adding secret: 1 error occurred:\n\t* exec is not allowed\n\n\tcontroller=c",
                "5+1 2025-12-04T22:09:23Z\tinfo\tnext",
            ],
        );
        check(
            "2025-12-04T22:09:22Z\tinfo\tztunnel\trunning with config: proxy: true\nproxyArgs: proxy\nd:\n- ip: 1\n\t\n2025-12-04T22:09:23Z\tinfo\tapp\tnext\t\n",
            &[
                "1+4 2025-12-04T22:09:22Z\tinfo\tztunnel\trunning with config: proxy: true\nproxyArgs: proxy\nd:\n- ip: 1",
                "6+1 2025-12-04T22:09:23Z\tinfo\tapp\tnext",
            ],
        );
    }

    #[test]
    fn a_dying_go_program_is_one_record() {
        check(
            "2025-12-04T22:09:22Z\tinfo\tlast\npanic: close of closed channel\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/x/main.go:1 +0x2\n\ngoroutine 2 [chan receive]:\nexit status 2\n2025-12-04T22:09:29Z\tinfo\tfirst\n",
            &[
                "1+1 2025-12-04T22:09:22Z\tinfo\tlast",
                "2+6 panic: close of closed channel\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/x/main.go:1 +0x2\n\ngoroutine 2 [chan receive]:\nexit status 2",
                "10+1 2025-12-04T22:09:29Z\tinfo\tfirst",
            ],
        );
    }

    #[test]
    fn undated_lines_are_records_and_indented_ones_continue_them() {
        check(
            "warn\tcache\ta\n\nerror\taccess\tb\nFailed calling webhook\n  caused by x\nother\n",
            &["1+1 warn\tcache\ta", "3+1 error\taccess\tb", "4+2 Failed calling webhook caused by x", "6+1 other"],
        );
    }

    #[test]
    fn wrapped_access_lines_are_joined() {
        check(
            "web-7d-x2 istio-proxy 2024-06-16T12:26:24.154500Z \ninfo access connection complete src.addr=10.0.0.1:5 \ndst.addr=10.0.0.2:80 duration=\"1ms\"\n\nweb-7d-x3 istio-proxy 2024-06-16T12:26:25Z \ninfo access connection complete\n",
            &[
                "1+3 [/web-7d-x2/istio-proxy] 2024-06-16T12:26:24.154500Z info access connection complete src.addr=10.0.0.1:5 dst.addr=10.0.0.2:80 duration=\"1ms\"",
                "5+2 [/web-7d-x3/istio-proxy] 2024-06-16T12:26:25Z info access connection complete",
            ],
        );
        check(
            "   2025-12-22T15:34:02Z    error    access    connection complete    src.addr=1.2.3.4:5\n   dst.addr=10.1.1.4:15008\n   error=\"io error\"\n",
            &[
                "1+3 2025-12-22T15:34:02Z    error    access    connection complete    src.addr=1.2.3.4:5 dst.addr=10.1.1.4:15008 error=\"io error\"",
            ],
        );
    }

    #[test]
    fn objects_over_many_lines_are_one_record_each() {
        check(
            "[\n{\n  \"a\": \"b  c\",\n  \"d\": { \"e\": [ 1, 2 ] }\n},\n{\n  \"a\": 2\n}\n]\n{\"level\":\"info\"}\nnot json\n",
            &[
                "2+4 {\"a\":\"b  c\",\"d\":{\"e\":[1,2]}}",
                "6+3 {\"a\":2}",
                "10+1 {\"level\":\"info\"}",
                "11+1 not json",
            ],
        );
        check(
            "{\n  \"a\": 1,\n2025-12-04T22:09:23Z\tinfo\tnext\n",
            &["1+2 {\"a\":1,", "3+1 2025-12-04T22:09:23Z\tinfo\tnext"],
        );
    }

    #[test]
    fn rows_carry_the_header_of_their_table() {
        check(
            "$ kubectl get pods\nNAME    READY   AGE\nweb-1   2/2     1d\nError from server (Forbidden): no\n\nweb-2   2/2     1d\n",
            &[
                "1+1 $ kubectl get pods",
                "3+1 (NAME READY AGE) web-1   2/2     1d",
                "4+1 Error from server (Forbidden): no",
                "6+1 web-2   2/2     1d",
            ],
        );
        check(
            "Events:\n  Type     Reason  Age  From     Message\n  ----     ------  ---- ----     -------\n  Warning  Failed  5m   kubelet  pull\n    failed\nother\n",
            &["4+2 (Type Reason Age From Message) Warning  Failed  5m   kubelet  pull  failed", "6+1 other"],
        );
    }

    #[test]
    fn commands_reach_to_the_next_command() {
        let input = "$ kubectl get ns \\\n  -o json\n{\n\"a\":1\n}\n$ nc -vz x\nok\n";
        check(input, &["1+2 $ kubectl get ns -o json", "3+3 {\"a\":1}", "6+1 $ nc -vz x", "7+1 ok"]);
        let commands =
            records(input.as_bytes(), usize::MAX).into_iter().map(|line| line.command.unwrap_or_default().to_string());
        let wanted = ["kubectl get ns -o json", "kubectl get ns -o json", "nc -vz x", "nc -vz x"];
        assert_eq!(commands.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn markers_name_the_origin_of_what_follows() {
        check(
            "==== START logs for container discovery of pod istio-system/istiod-1 ====\n2025-12-04T22:09:22Z\tinfo\tx\n==== END logs for container discovery of pod istio-system/istiod-1 ====\n2025-12-04T22:09:23Z\tinfo\ty\n========= Previous log =========\n2025-12-04T21:09:23Z\tinfo\tz\n",
            &[
                "2+1 [istio-system/istiod-1/discovery] 2025-12-04T22:09:22Z\tinfo\tx",
                "4+1 2025-12-04T22:09:23Z\tinfo\ty",
                "6+1 2025-12-04T21:09:23Z\tinfo\tz",
            ],
        );
    }

    #[test]
    fn a_line_longer_than_the_cap_is_cut_and_counted() {
        let mut framer = Framer::new(Arc::new(Origin::new("c1", "a.log")), Scan::Off);
        let mut lengths = Vec::new();
        let mut take = |line: Line| lengths.push((line.seq, line.text.len()));
        for _ in 0..40 {
            framer.push(&[b'x'; 1 << 16], &mut take);
        }
        framer.push(b"\nnext\n", &mut take);
        framer.finish(&mut take);
        assert_eq!(lengths, [(0, LINE_MAX), (40 << 16 | 1, 4)]);
        assert_eq!(framer.counts(), Counts { lines: 2, quiet: 0, cut: 1 });
        assert!(framer.held.capacity() <= 1 << 16);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let shown = records(b"2025-12-04T22:09:22Z\tinfo\t\xff\xfe\n", 1);
        assert_eq!(&*shown[0].text, "2025-12-04T22:09:22Z\tinfo\t\u{fffd}\u{fffd}");
    }
}
