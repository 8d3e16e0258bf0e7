//! One value as it was written, where, and what it means or why it means nothing. A value that means nothing does not stop
//! the reading: it is a finding, and the rest of the file is looked at all the same.

use super::{
    document::{did_you_mean, names_in},
    findings::Findings,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor, value::StrDeserializer},
};
use std::{borrow::Cow, fmt, marker::PhantomData, ops::Range};
use toml::Spanned;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Written<T> {
    at: Range<usize>,
    value: Result<T, Fault>,
}

/// Why a value means nothing: what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) help: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }
}

/// What can be written after `=`.
pub(super) trait Value: Sized {
    /// What is expected, as a noun with an example: `a duration such as "50 ms"`.
    const EXPECTED: &'static str;

    fn text(text: &str) -> Result<Self, Fault> {
        Err(wrong_type::<Self>(&format!("the text {text:?}")))
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Err(wrong_type::<Self>(&format!("the number {number}")))
    }

    fn float(number: f64) -> Result<Self, Fault> {
        Err(wrong_type::<Self>(&format!("the number {number}")))
    }

    fn boolean(truth: bool) -> Result<Self, Fault> {
        Err(wrong_type::<Self>(&truth.to_string()))
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Result<Self, Fault>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(wrong_type::<Self>("a list")))
    }

    fn table<'de, A: MapAccess<'de>>(mut table: A) -> Result<Result<Self, Fault>, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Err(wrong_type::<Self>("a table or a date")))
    }

    /// For editors and for `quaywatch schema`.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

fn wrong_type<T: Value>(what: &str) -> Fault {
    Fault::new(format!("{what} is not {}", T::EXPECTED), format!("write {}", T::EXPECTED))
}

/// The fault of a text that should have been a `T`.
pub(super) fn not<T: Value>(text: &str, help: impl Into<String>) -> Fault {
    Fault::new(format!("{text:?} is not {}", T::EXPECTED), help)
}

impl<'de, T: Value> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Meant<T>>::deserialize(deserializer)?;
        Ok(Self { at: spanned.span(), value: spanned.into_inner().0 })
    }
}

struct Meant<T>(Result<T, Fault>);

impl<'de, T: Value> Deserialize<'de> for Meant<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind(PhantomData)).map(Meant)
    }
}

struct AnyKind<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for AnyKind<T> {
    type Value = Result<T, Fault>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::text(text))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(T::integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        // Beyond what 64 bits with a sign hold: no value of ours goes there.
        Ok(Err(wrong_type::<T>(&format!("the number {number}"))))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Self::Value, E> {
        Ok(Err(wrong_type::<T>(&format!("the number {number}"))))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Self::Value, E> {
        Ok(Err(wrong_type::<T>(&format!("the number {number}"))))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(T::float(number))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(T::boolean(truth))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        T::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
        T::table(table)
    }
}

impl<T: Value> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::EXPECTED.into()
    }

    fn schema_id() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T> Written<T> {
    /// The value, for those who say its fault themselves.
    pub(super) fn into_value(self) -> Result<T, Fault> {
        self.value
    }
}

impl Findings {
    /// The value, if there is one and it means something; if it means nothing, that is noted.
    pub(super) fn take<T>(&mut self, written: Option<Written<T>>) -> Option<Spanned<T>> {
        let Written { at, value } = written?;
        match value {
            Ok(value) => Some(Spanned::new(at, value)),
            Err(Fault { what, help }) => {
                self.add(at, what, help);
                None
            }
        }
    }

    /// The same without its place.
    pub(super) fn value<T>(&mut self, written: Option<Written<T>>) -> Option<T> {
        self.take(written).map(Spanned::into_inner)
    }

    /// A value that must be there.
    pub(super) fn need<T>(
        &mut self,
        written: Option<Written<T>>,
        owner: (&Range<usize>, &str),
        key: &str,
        help: &str,
    ) -> Option<Spanned<T>> {
        if written.is_none() {
            self.add(owner.0.clone(), format!("`{}` has no `{key}`", owner.1), format!("add {help}"));
        }
        self.take(written)
    }

    /// A list, if all of its values mean something.
    pub(super) fn all<T>(&mut self, written: Option<Written<Vec<Written<T>>>>) -> Option<Spanned<Vec<Spanned<T>>>> {
        let list = self.take(written)?;
        let at = list.span();
        let values: Vec<_> = list.into_inner().into_iter().map(|value| self.take(Some(value))).collect();
        Some(Spanned::new(at, values.into_iter().collect::<Option<_>>()?))
    }
}

impl<T: Value> Value for Vec<Written<T>> {
    const EXPECTED: &'static str = "a list such as [\"a\", \"b\"]";

    fn text(text: &str) -> Result<Self, Fault> {
        Err(not::<Self>(text, format!("write [{text:?}]")))
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Result<Self, Fault>, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = list.next_element()? {
            all.push(value);
        }
        Ok(Ok(all))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = T::schema(generator);
        json_schema!({ "type": "array", "items": items })
    }
}

/// A table of its own inside a table: `rates = { … }`.
pub(super) trait Inner: DeserializeOwned + JsonSchema {
    /// As for [`Value::EXPECTED`].
    const EXPECTED: &'static str;
}

impl<T: Inner> Value for T {
    const EXPECTED: &'static str = T::EXPECTED;

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Result<Self, Fault>, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(table)).map(Ok)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// One word of a fixed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<E>(pub(super) E);

/// A fixed set of words.
pub(super) trait Vocabulary: DeserializeOwned + JsonSchema {
    /// What one of them is: `role`.
    const NOUN: &'static str;
    /// As for [`Value::EXPECTED`].
    const EXPECTED: &'static str;
}

impl<E: Vocabulary> Value for Word<E> {
    const EXPECTED: &'static str = E::EXPECTED;

    fn text(text: &str) -> Result<Self, Fault> {
        let word: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        E::deserialize(word).map(Word).map_err(|_| {
            let known = names_in::<E>().iter().copied();
            let near = did_you_mean(text, known.clone());
            let all: Vec<&str> = known.collect();
            let help = if near.starts_with("did") { format!("{near}\nthere are: {}", all.join(", ")) } else { near };
            Fault::new(format!("there is no {} {text:?}", E::NOUN), help)
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<E>()
    }
}
