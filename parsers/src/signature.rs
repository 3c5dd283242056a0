//! Signatures: the known messages, one row each, and the header that stands in front of them.

use std::borrow::Cow;

use nom::IResult;

use crate::event::{Fact, Level};
use crate::time::Time;

/// Keys and values of a line, in its order.
pub type Fields<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A line whose header has been read: what is left to understand is the message.
#[derive(Clone, Debug, PartialEq)]
pub struct Said<'a> {
    /// The line's own time.
    pub at: Option<Time>,
    /// Level; `Info` where the line has none.
    pub level: Level,
    /// Scope (istiod, agent), target with its spans removed (ztunnel), `envoy <component>`; empty for the default scope.
    pub scope: Cow<'a, str>,
    /// The spans behind a ztunnel target: `xds{id=1}`, joined by `:`; empty elsewhere.
    pub spans: Cow<'a, str>,
    /// The message without fields.
    pub message: Cow<'a, str>,
    /// The fields: labels of istiod, fields of ztunnel, keys of a JSON line. First one wins.
    pub fields: Fields<'a>,
}

impl Said<'_> {
    /// The value of a field.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }
}

/// A known message.
pub struct Signature {
    /// Stable name, in words with dashes: `remote-sync-timeout`.
    pub name: &'static str,
    /// Where upstream prints it: `istio/istio: pkg/kube/multicluster/cluster.go`.
    pub printed_by: &'static str,
    /// Versions that print it: `all`, `1.22+`, `up to 1.29`.
    pub versions: &'static str,
    /// What it means, one sentence.
    pub meaning: &'static str,
    /// Causes it can point to.
    pub points_to: &'static [&'static str],
    /// Whole example lines, as printed.
    pub examples: &'static [&'static str],
    /// Reads the message; the fields are at hand in `Said`.
    pub read: for<'a> fn(&'a Said<'a>) -> IResult<&'a str, Fact>,
}

/// A refusal, for reading functions that decide by other means than a combinator.
pub fn refuse<T>(input: &str) -> IResult<&str, T> {
    Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)))
}
