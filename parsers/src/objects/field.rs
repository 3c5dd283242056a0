//! A field of an object, of whatever type it is: what is absent and what has another type than asked are alike, so that
//! one wrong field costs itself only.

use serde_json::{Map as Members, Value};

use crate::event::Text;
use crate::state::object::Map;
use crate::time::{self, Time};

/// Longest text kept; a longer one is cut. Names and addresses are far shorter.
pub(super) const TEXT_MAX: usize = 4 << 10;

/// A field that may be absent.
#[derive(Clone, Copy)]
pub(super) struct Field<'a>(Option<&'a Value>);

impl<'a> From<&'a Value> for Field<'a> {
    fn from(value: &'a Value) -> Field<'a> {
        Field(Some(value))
    }
}

impl<'a> Field<'a> {
    /// A field that is not there.
    pub(super) const NONE: Field<'a> = Field(None);

    /// A member of this object.
    pub(super) fn at(self, key: &str) -> Field<'a> {
        Field(self.members().and_then(|members| members.get(key)))
    }

    /// A member in camel case or, as old versions and people write it, in snake case.
    pub(super) fn either(self, key: &str) -> Field<'a> {
        let found = self.at(key);
        if found.is_set() {
            return found;
        }
        let mut snake = String::with_capacity(key.len() + 4);
        for c in key.chars() {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        self.at(&snake)
    }

    /// Whether it is there and says something.
    pub(super) fn is_set(self) -> bool {
        !matches!(self.0, None | Some(Value::Null))
    }

    fn members(self) -> Option<&'a Members<String, Value>> {
        self.0.and_then(Value::as_object)
    }

    /// Its string; empty where it is none.
    pub(super) fn str(self) -> &'a str {
        self.0.and_then(Value::as_str).unwrap_or("")
    }

    /// Its string, number or truth value as text.
    pub(super) fn text(self) -> Text {
        match self.0 {
            Some(Value::String(text)) => short(text),
            Some(Value::Number(number)) => number.to_string().into(),
            Some(Value::Bool(flag)) => flag.to_string().into(),
            None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => Text::default(),
        }
    }

    /// Its number, also one written as a string, if it fits.
    pub(super) fn number<T: TryFrom<i64>>(self) -> Option<T> {
        let number = match self.0? {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        T::try_from(number?).ok()
    }

    /// Its truth value, also one written as a string.
    pub(super) fn flag(self) -> Option<bool> {
        match self.0? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Its time, where it is nothing but one.
    pub(super) fn time(self) -> Option<Time> {
        instant(self.str())
    }

    /// Its elements.
    pub(super) fn items(self) -> impl Iterator<Item = Field<'a>> {
        self.0.and_then(Value::as_array).map_or([].as_slice(), Vec::as_slice).iter().map(Field::from)
    }

    /// Its members.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Field<'a>)> {
        self.members().into_iter().flatten().map(|(key, value)| (key.as_str(), Field::from(value)))
    }

    /// Its elements as texts; those that are none are left out.
    pub(super) fn texts(self) -> Vec<Text> {
        self.items().map(Field::text).filter(|text| !text.is_empty()).collect()
    }

    /// Its members as texts.
    pub(super) fn map(self) -> Map {
        self.entries().filter(|(_, value)| value.is_scalar()).map(|(key, value)| (short(key), value.text())).collect()
    }

    /// Whether it is a list, also an empty one.
    pub(super) fn is_list(self) -> bool {
        matches!(self.0, Some(Value::Array(_)))
    }

    /// Moves `newest` on to the newest time in it that lay in the past when it was printed.
    pub(super) fn newest(self, newest: &mut Option<Time>) {
        // Not `deletionTimestamp` and the times until which certificates and leases are valid.
        const PAST: [&str; 16] = [
            "acquireTime",
            "completionTime",
            "creationTimestamp",
            "eventTime",
            "finishedAt",
            "firstTimestamp",
            "lastHeartbeatTime",
            "lastObservedTime",
            "lastProbeTime",
            "lastTimestamp",
            "lastTransitionTime",
            "lastUpdateTime",
            "renewTime",
            "startTime",
            "startedAt",
            "time",
        ];
        match self.0 {
            Some(Value::Object(members)) => {
                for (key, value) in members {
                    match value {
                        Value::String(text) if PAST.contains(&key.as_str()) => *newest = (*newest).max(instant(text)),
                        Value::String(text) if key == LEADER => *newest = (*newest).max(renewed(text)),
                        _ => Field(Some(value)).newest(newest),
                    }
                }
            }
            Some(Value::Array(items)) => items.iter().for_each(|item| Field(Some(item)).newest(newest)),
            _ => {}
        }
    }

    fn is_scalar(self) -> bool {
        matches!(self.0, Some(Value::String(_) | Value::Number(_) | Value::Bool(_)))
    }
}

/// The annotation by which leaders are elected.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// The time at which a leader renewed its claim last.
fn renewed(annotation: &str) -> Option<Time> {
    let (_, rest) = annotation.split_once("\"renewTime\":\"")?;
    instant(rest.split('"').next()?)
}

/// A floating-point number without a fraction.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// A text of at most [`TEXT_MAX`] bytes.
pub(super) fn short(text: &str) -> Text {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    let end = (0..=TEXT_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].into()
}

/// A text that is a time and nothing else.
pub(super) fn instant(text: &str) -> Option<Time> {
    let (at, used) = time::rfc3339(text.as_bytes())?;
    (used == text.len()).then_some(at)
}
