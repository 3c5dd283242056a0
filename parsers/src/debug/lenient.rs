//! JSON values of the type we want, or nothing: a field of another type costs itself, not its document.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::event::Text;

/// What a value may be read as.
pub(super) trait Lenient: Default {
    /// From a string.
    fn text(_text: &str) -> Self {
        Self::default()
    }
    /// From a whole number.
    fn number(_number: u64) -> Self {
        Self::default()
    }
    /// From a truth value.
    fn truth(_truth: bool) -> Self {
        Self::default()
    }
    /// From a list.
    fn list<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
    /// From an object.
    fn object<'de, A: MapAccess<'de>>(mut fields: A) -> Result<Self, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// Reads a value leniently.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Lax<T>(pub(super) T);

impl<'de, T: Lenient> Deserialize<'de> for Lax<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Lenient> Visitor<'de> for Any<T> {
            type Value = Lax<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Lax<T>, E> {
                Ok(Lax(T::text(text)))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Lax<T>, E> {
                Ok(Lax(T::number(number)))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Lax<T>, E> {
                Ok(Lax(T::default()))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Lax<T>, E> {
                Ok(Lax(T::default()))
            }
            fn visit_bool<E: Error>(self, truth: bool) -> Result<Lax<T>, E> {
                Ok(Lax(T::truth(truth)))
            }
            fn visit_unit<E: Error>(self) -> Result<Lax<T>, E> {
                Ok(Lax(T::default()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Lax<T>, A::Error> {
                T::list(items).map(Lax)
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Lax<T>, A::Error> {
                T::object(fields).map(Lax)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl Lenient for Text {
    fn text(text: &str) -> Text {
        text.into()
    }
    fn number(number: u64) -> Text {
        number.to_string().into()
    }
    fn truth(truth: bool) -> Text {
        truth.to_string().into()
    }
}

impl Lenient for u64 {
    fn text(text: &str) -> u64 {
        text.parse().unwrap_or_default()
    }
    fn number(number: u64) -> u64 {
        number
    }
}

impl Lenient for u16 {
    fn text(text: &str) -> u16 {
        text.parse().unwrap_or_default()
    }
    fn number(number: u64) -> u16 {
        u16::try_from(number).unwrap_or_default()
    }
}

impl Lenient for bool {
    fn text(text: &str) -> bool {
        text == "true"
    }
    fn truth(truth: bool) -> bool {
        truth
    }
}

impl Lenient for () {}

impl<T: Lenient> Lenient for Vec<T> {
    fn list<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Lax(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

/// An object's fields in their order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fields<T>(pub(super) Vec<(Text, T)>);

impl<T> Default for Fields<T> {
    fn default() -> Fields<T> {
        Fields(Vec::new())
    }
}

impl<T: Lenient> Lenient for Fields<T> {
    fn object<'de, A: MapAccess<'de>>(mut fields: A) -> Result<Fields<T>, A::Error> {
        let mut list = Vec::new();
        while let Some((key, Lax(value))) = fields.next_entry::<Text, Lax<T>>()? {
            list.push((key, value));
        }
        Ok(Fields(list))
    }
}

/// An object with known fields.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Known<T>(pub(super) T);

impl<T: Default + for<'any> Deserialize<'any>> Lenient for Known<T> {
    fn object<'de, A: MapAccess<'de>>(fields: A) -> Result<Known<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Known)
    }
}

/// A field of a struct: `#[serde(deserialize_with = "lax")]`.
pub(super) fn lax<'de, D: Deserializer<'de>, T: Lenient>(deserializer: D) -> Result<T, D::Error> {
    Lax::deserialize(deserializer).map(|Lax(value)| value)
}

/// Values that are neither list nor object are passed over.
macro_rules! pass_scalars {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E: Error>(self) -> Result<(), E> {
            Ok(())
        }
    };
}

/// A list whose items go on one by one, so that what came before an error is kept.
pub(super) struct Each<'a, T>(pub(super) &'a mut dyn FnMut(T));

impl<'de, T: Lenient> DeserializeSeed<'de> for Each<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Lenient> Visitor<'de> for Each<'_, T> {
    type Value = ();
    pass_scalars!();
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(Lax(item)) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Takes the fields of an object one by one.
pub(super) trait TakeField {
    /// Takes the value of this key, which is next in `fields`.
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, fields: &mut A) -> Result<(), A::Error>;
}

/// An object whose fields go on one by one, so that what came before an error is kept.
pub(super) struct Object<'a, T>(pub(super) &'a mut T);

impl<'de, T: TakeField> DeserializeSeed<'de> for Object<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: TakeField> Visitor<'de> for Object<'_, T> {
    type Value = ();
    pass_scalars!();
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(key) = fields.next_key::<String>()? {
            self.0.field(&key, &mut fields)?;
        }
        Ok(())
    }
}

/// Reads a document with a seed. The error says where it ends; what the seed took before is there.
pub(super) fn drive<'de, S: DeserializeSeed<'de, Value = ()>>(bytes: &'de [u8], seed: S) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    seed.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Default, Debug, PartialEq)]
    #[serde(default)]
    struct Row {
        #[serde(deserialize_with = "lax")]
        name: Text,
        #[serde(deserialize_with = "lax")]
        port: u16,
        #[serde(deserialize_with = "lax")]
        list: Vec<Text>,
        #[serde(deserialize_with = "lax")]
        map: Fields<Text>,
        #[serde(deserialize_with = "lax")]
        on: bool,
    }

    fn rows(text: &str) -> (Vec<Row>, Option<String>) {
        let mut rows = Vec::new();
        let error = drive(text.as_bytes(), Each(&mut |Known(row)| rows.push(row))).err();
        (rows, error)
    }

    #[test]
    fn a_field_of_another_type_costs_itself() {
        let (read, error) = rows(
            r#"[{"name":7,"port":"8080","list":null,"map":{"a":1,"b":[2]},"on":"true","new":{"x":[{}]}},
                "no row", null, {"name":{"x":1},"port":70000,"list":[1,"b"],"map":[3],"on":1}]"#,
        );
        assert_eq!(error, None);
        let map = Fields(vec![("a".into(), "1".into()), ("b".into(), "".into())]);
        assert_eq!(read[0], Row { name: "7".into(), port: 8080, map, on: true, ..Row::default() });
        assert_eq!(read[1..3], [Row::default(), Row::default()]);
        assert_eq!(read[3], Row { list: vec!["1".into(), "b".into()], ..Row::default() });
    }

    #[test]
    fn what_came_before_an_error_is_kept() {
        let (read, error) = rows(r#"[{"name":"a"},{"name":"b"},{"name":"c"#);
        assert_eq!(read.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(error.is_some_and(|error| error.contains("EOF")));
    }
}
