//! Walks a JSON document part by part: at full speed where it is sound, item by item where it is not.
//!
//! The sound document is scanned once, straight into its parts. Where that fails, the rest is read again, carefully: a
//! part or an item of the wrong type costs itself only, and of a document that ends in the middle everything before the
//! cut is used. What an error says never quotes the document, which may hold a secret.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::{Category, Error};
use serde_json::value::RawValue;

use super::fold::Fold;
use super::shape::Part;

/// What a document is, told by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `{"configs": [part, ...]}`
    Dump,
    /// `[part, ...]`
    List,
    /// `part`
    One,
}

/// Reads a document into a fold. The error says why nothing behind it could be read, and where.
pub(super) fn read(text: &str, form: Form, fold: &mut Fold) -> Result<(), String> {
    let mut done = 0;
    let mut de = serde_json::Deserializer::from_str(text);
    let sound = match form {
        Form::Dump => de.deserialize_map(Configs(Parts { fold, done: &mut done })),
        Form::List => de.deserialize_seq(Parts { fold, done: &mut done }),
        Form::One => Part::deserialize(&mut de).map(|part| fold.part(part)),
    };
    let read = match sound {
        Ok(()) => de.end(),
        Err(_) => carefully(text, form, done, fold),
    };
    read.map_err(|error| reason(&error))
}

/// Why, without a word of the document.
fn reason(error: &Error) -> String {
    let why = match error.classify() {
        Category::Eof => "it ends in the middle",
        Category::Data => "something of another type stands there",
        Category::Syntax | Category::Io => "it is no JSON there",
    };
    format!("line {}, column {}: {why}", error.line(), error.column())
}

/// The key `configs` of a dump.
struct Configs<'f>(Parts<'f>);

impl<'de> Visitor<'de> for Configs<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dump")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Parts { fold, done } = self.0;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "configs" => map.next_value_seed(Parts { fold: &mut *fold, done: &mut *done })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A list of parts, each taken as soon as it is read.
struct Parts<'f> {
    fold: &'f mut Fold,
    done: &'f mut usize,
}

impl<'de> DeserializeSeed<'de> for Parts<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of parts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        while let Some(part) = parts.next_element::<Part<'de>>()? {
            self.fold.part(part);
            *self.done += 1;
        }
        Ok(())
    }
}

/// Reads what is not `done` yet, carefully.
fn carefully(text: &str, form: Form, done: usize, fold: &mut Fold) -> Result<(), Error> {
    let (list, path) = match form {
        Form::One => return walk(text, "", fold),
        Form::List => (text, ""),
        Form::Dump => (behind_configs(text).unwrap_or(text), "configs"),
    };
    let mut walked = Walked { fold, skip: done, seen: 0, behind: 1, path, list };
    let mut de = serde_json::Deserializer::from_str(list);
    let Err(error) = de.deserialize_seq(&mut walked) else { return Ok(()) };
    // The part that is cut begins behind the last whole one.
    let cut = list.get(walked.behind..).unwrap_or("").trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    let path = format!("{path}[{}]", walked.seen);
    if walked.skip <= walked.seen {
        // It fails again, where it is cut.
        let _ = walk(cut, &path, fold);
    }
    // Lines and columns are those of the document.
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(of_document) => Err(of_document),
        Ok(_) => Err(error),
    }
}

/// What follows the key `configs`.
fn behind_configs(text: &str) -> Option<&str> {
    const KEY: &str = "\"configs\"";
    let at = text.find(KEY)? + KEY.len();
    let rest = text.get(at..)?.trim_start().strip_prefix(':')?.trim_start();
    rest.starts_with('[').then_some(rest)
}

/// Walks a list of parts, each by itself.
struct Walked<'f, 't> {
    fold: &'f mut Fold,
    /// Parts that were taken before.
    skip: usize,
    seen: usize,
    /// Where the last whole part ends in the list.
    behind: usize,
    path: &'t str,
    list: &'t str,
}

impl<'de> Visitor<'de> for &mut Walked<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of parts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<(), A::Error> {
        while let Some(part) = parts.next_element::<&RawValue>()? {
            let part = part.get();
            self.behind = part.as_ptr() as usize - self.list.as_ptr() as usize + part.len();
            if self.skip <= self.seen {
                let path = format!("{}[{}]", self.path, self.seen);
                if let Err(error) = walk(part, &path, self.fold) {
                    self.fold.lose(format!("{path}: {}", reason(&error)));
                }
            }
            self.seen += 1;
        }
        Ok(())
    }
}

/// Lists of things that stand for themselves, so that one of them can be lost without the others.
const LISTS: [&str; 30] = [
    "static_clusters",
    "staticClusters",
    "dynamic_active_clusters",
    "dynamicActiveClusters",
    "dynamic_warming_clusters",
    "dynamicWarmingClusters",
    "static_listeners",
    "staticListeners",
    "dynamic_listeners",
    "dynamicListeners",
    "static_route_configs",
    "staticRouteConfigs",
    "dynamic_route_configs",
    "dynamicRouteConfigs",
    "static_secrets",
    "staticSecrets",
    "dynamic_active_secrets",
    "dynamicActiveSecrets",
    "dynamic_warming_secrets",
    "dynamicWarmingSecrets",
    "static_endpoint_configs",
    "staticEndpointConfigs",
    "dynamic_endpoint_configs",
    "dynamicEndpointConfigs",
    "cluster_statuses",
    "clusterStatuses",
    "listener_statuses",
    "listenerStatuses",
    "certificates",
    "stats",
];

/// Walks one part, perhaps cut: its lists item by item, then the rest of it.
fn walk(part: &str, path: &str, fold: &mut Fold) -> Result<(), Error> {
    let mut rest = String::from("{");
    let mut de = serde_json::Deserializer::from_str(part);
    let end = de.deserialize_map(Keys { fold, path, rest: &mut rest });
    rest.push('}');
    match serde_json::from_str::<Part<'_>>(&rest) {
        // Half a resource would say that the other half does not exist.
        Ok(part) if end.is_err() && !(part.name.is_empty() && part.cluster_name.is_none()) => {}
        Ok(part) => fold.part(part),
        Err(error) => {
            fold.lose(format!("{}: {}", if path.is_empty() { "the document" } else { path }, type_of(&error)))
        }
    }
    end
}

/// Takes a part that was put together from whole pieces.
fn take(text: &str, fold: &mut Fold) -> Result<(), Error> {
    serde_json::from_str::<Part<'_>>(text).map(|part| fold.part(part))
}

fn type_of(error: &Error) -> &'static str {
    match error.classify() {
        Category::Data => "something in it is of another type: not read",
        _ => "not read",
    }
}

struct Keys<'f, 't> {
    fold: &'f mut Fold,
    path: &'t str,
    rest: &'t mut String,
}

impl<'de> Visitor<'de> for Keys<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&RawValue>()? {
            let key = key.get();
            let bare = key.trim_matches('"');
            if LISTS.contains(&bare) {
                map.next_value_seed(Items { fold: &mut *self.fold, path: self.path, key: bare })?;
                continue;
            }
            let value = map.next_value::<&RawValue>()?.get();
            if self.rest.len() > 1 {
                self.rest.push(',');
            }
            self.rest.push_str(key);
            self.rest.push(':');
            self.rest.push_str(value);
        }
        Ok(())
    }
}

struct Items<'f, 't> {
    fold: &'f mut Fold,
    path: &'t str,
    key: &'t str,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut at = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            let alone = format!("{{\"{}\":[{}]}}", self.key, item.get());
            if let Err(error) = take(&alone, self.fold) {
                let dot = if self.path.is_empty() { "" } else { "." };
                self.fold.lose(format!("{}{dot}{}[{at}]: {}", self.path, self.key, type_of(&error)));
            }
            at += 1;
        }
        Ok(())
    }
}
