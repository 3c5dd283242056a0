//! State documents: whole files or outputs, recognised by what they hold, read into facts.
//!
//! Each reader looks at a document's first keys and says whether it is one of its own. What nobody owns is a log.

use std::borrow::Cow;

use crate::event::{Fact, Text};
use crate::state::State;
use crate::time::Time;
use crate::{admin, cert, debug, dump, objects};

/// What a document said.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Document {
    /// What it says, in its order. What has a time of its own (a Kubernetes Event) carries it.
    pub facts: Vec<(Option<Time>, Fact)>,
    /// The newest time that stands in it: it was taken then or later.
    pub taken: Option<Time>,
    /// The cluster it says it is of; empty where it does not say.
    pub cluster: Text,
    /// What could not be read, one sentence each; the rest was.
    pub losses: Vec<String>,
}

impl Document {
    /// A document of one state.
    pub fn of(state: State) -> Document {
        Document { facts: vec![(None, Fact::State(Box::new(state)))], ..Document::default() }
    }

    /// Adds a state.
    pub fn push(&mut self, state: State) {
        self.facts.push((None, Fact::State(Box::new(state))));
    }

    /// A time that stands in it.
    pub fn saw(&mut self, at: Option<Time>) {
        self.taken = self.taken.max(at);
    }
}

/// Where a document was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Found<'a> {
    /// Its path, archives as folders: `proxies/shop/cart-1/certs` names the pod.
    pub path: &'a str,
    /// The command that printed it; empty where none is known.
    pub command: &'a str,
}

/// Bytes as text; what is no UTF-8 is replaced. Sound text, as nearly all is, is checked at memory speed.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Reads a document. `None`: it is none that anybody knows. An error says what it looks like and why it cannot be read.
pub fn read(bytes: &[u8], found: Found<'_>) -> Option<Result<Document, String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    objects::read(bytes, found)
        // Before ztunnel's dump: istiod lists the same things under the same names.
        .or_else(|| debug::read(bytes, found))
        .or_else(|| dump::read(bytes, found))
        .or_else(|| admin::read(bytes, found))
        .or_else(|| cert::document(bytes, found))
}
