//! From text to tables: every table is asked for by name, every key belongs to somebody, and whatever was not asked for is
//! a mistake with a place.

use super::findings::{Findings, Source};
use serde::{
    Deserializer,
    de::{DeserializeOwned, Visitor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
};
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A table of tables, each of which is asked for once.
pub(super) struct Section<'i> {
    /// As people write it: `rules`.
    path: String,
    tables: DeTable<'i>,
    known: Vec<&'static str>,
}

/// One table and where everything in it is.
pub(super) struct Table<T> {
    /// As people write it: `lines.plc`.
    pub(super) path: String,
    /// Where its name is: what is missing in it is missing there.
    pub(super) at: Range<usize>,
    /// Where each of its keys is.
    pub(super) keys: BTreeMap<String, Range<usize>>,
    /// What is in it.
    pub(super) value: T,
}

/// The tables of one kind, by the name people gave them.
pub(super) struct Named<N, T> {
    /// Those that can be read, in the order of their names.
    pub(super) tables: Vec<(N, Table<T>)>,
    /// All names, also of those that cannot: a reference to one of them is not wrong.
    pub(super) declared: BTreeSet<String>,
}

impl<'i> Section<'i> {
    /// The whole file. Text that is not TOML is found here; what can be read of it is.
    pub(super) fn of(source: &'i Source, findings: &mut Findings) -> Self {
        let (root, errors) = DeTable::parse_recoverable(source.text());
        for error in errors {
            let at = error.span().unwrap_or(0..0);
            // The parser guesses at what a bare word should have been; the word itself may be a secret and is not repeated.
            let message = error.message();
            let bare = message.contains("boolean") || message.contains("must be quoted");
            let (what, help) = match message {
                _ if bare => {
                    ("a text without quotes", "write texts in \"quotes\"; only numbers, true and false go without")
                }
                "duplicate key" => (message, "a name can be used once in a table; remove or rename one of them"),
                _ => (
                    message,
                    "a line is a [table] or key = value; texts are in \"quotes\", lists in [ ], tables in { }",
                ),
            };
            findings.add(at, format!("this is not TOML: {what}"), help);
        }
        Self { path: String::new(), tables: root.into_inner(), known: Vec::new() }
    }

    /// A table of tables inside this one, such as `rules`.
    pub(super) fn section(&mut self, name: &'static str, findings: &mut Findings) -> Section<'i> {
        let path = self.path_of(name);
        let tables = self.take(name).and_then(|(at, value)| table(value, &at, &path, findings));
        Section { path, tables: tables.unwrap_or_default(), known: Vec::new() }
    }

    /// One table, such as `site`.
    pub(super) fn table<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Table<T>> {
        let path = self.path_of(name);
        let (at, value) = self.take(name)?;
        read(path, at, value, findings)
    }

    /// All tables of a kind, such as `zones`.
    pub(super) fn named<N, T>(&mut self, name: &'static str, findings: &mut Findings) -> Named<N, T>
    where
        N: TryFrom<String, Error: fmt::Display>,
        T: DeserializeOwned,
    {
        let path = self.path_of(name);
        let mut named = Named { tables: Vec::new(), declared: BTreeSet::new() };
        let Some((at, value)) = self.take(name) else { return named };
        for (key, value) in table(value, &at, &path, findings).unwrap_or_default() {
            let at = key.span();
            let written = key.into_inner().into_owned();
            named.declared.insert(written.clone());
            let path = format!("{path}.{written}");
            let id = N::try_from(written)
                .map_err(|why| findings.add(at.clone(), format!("`{path}` cannot be called that"), why.to_string()));
            if let (Ok(id), Some(table)) = (id, read(path, at, value, findings)) {
                named.tables.push((id, table));
            }
        }
        named
    }

    /// Whatever was not asked for is a mistake.
    pub(super) fn finish(self, findings: &mut Findings) {
        for key in self.tables.keys() {
            let name = key.get_ref();
            let path = self.path_of(name);
            let what = format!("there is no table `{path}`");
            findings.add(key.span(), what, did_you_mean(name, self.known.iter().copied()));
        }
    }

    fn take(&mut self, name: &'static str) -> Option<(Range<usize>, toml::Spanned<DeValue<'i>>)> {
        self.known.push(name);
        let (key, value) = self.tables.remove_entry(name)?;
        Some((key.span(), value))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }
}

impl<T> Table<T> {
    /// Where a key is; where the table is if it has no such key.
    pub(super) fn key(&self, name: &str) -> Range<usize> {
        self.keys.get(name).cloned().unwrap_or_else(|| self.at.clone())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }
}

fn table<'i>(
    value: toml::Spanned<DeValue<'i>>,
    at: &Range<usize>,
    path: &str,
    findings: &mut Findings,
) -> Option<DeTable<'i>> {
    match value.into_inner() {
        DeValue::Table(table) => Some(table),
        other => {
            let what = format!("`{path}` is a table, not {}", article(other.type_str()));
            let last = path.rsplit('.').next().unwrap_or(path);
            findings.add(at.clone(), what, format!("write [{path}] on a line of its own, or {last} = {{ … }}"));
            None
        }
    }
}

fn read<T: DeserializeOwned>(
    path: String,
    at: Range<usize>,
    value: toml::Spanned<DeValue<'_>>,
    findings: &mut Findings,
) -> Option<Table<T>> {
    let span = value.span();
    let mut entries = table(value, &at, &path, findings)?;
    let known = names_in::<T>();
    let unknown: Vec<_> = entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).cloned().collect();
    for key in unknown {
        let name = key.get_ref();
        findings.add(key.span(), format!("`{path}` has no key `{name}`"), did_you_mean(name, known.iter().copied()));
        entries.remove(name.as_ref());
    }
    let keys = entries.keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
    let spanned = toml::Spanned::new(span.clone(), DeValue::Table(entries));
    match T::deserialize(ValueDeserializer::from(spanned)) {
        Ok(value) => Some(Table { path, at, keys, value }),
        Err(error) => {
            let (what, help) = in_words(&error, &path);
            findings.add(error.span().unwrap_or(span), what, help);
            None
        }
    }
}

/// serde's words for what is wrong inside a table's own tables, in ours.
fn in_words(error: &toml::de::Error, path: &str) -> (String, String) {
    let message = error.message();
    let named: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match named.as_slice() {
        [unknown, known @ ..] if message.starts_with("unknown field") => {
            (format!("`{path}` has no key `{unknown}` there"), did_you_mean(unknown, known.iter().copied()))
        }
        _ => (format!("`{path}` cannot be read: {message}"), "`quaywatch schema` prints what belongs where".into()),
    }
}

/// What somebody may have meant, for a help line; all there are if nothing is near and they are few.
pub(super) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let near = known.iter().map(|name| (distance(written, name), *name)).min();
    // A third of the letters may be wrong: beyond that the guess is more confusing than none.
    let near = near.filter(|(steps, name)| {
        let letters = name.chars().count();
        *steps <= letters.max(3) / 3 && *steps < letters
    });
    let all = || known.iter().take(40).copied().collect::<Vec<_>>().join(", ");
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there are none in this file".into(),
        None => format!("there are: {}", all()),
    }
}

/// Letters to change, add, leave out or swap with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

pub(super) fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// The keys of a struct, or the words of an enum, as serde knows them.
pub(super) fn names_in<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Ask) {
        Err(Names(names)) => names,
        Ok(_) => &[],
    }
}

/// Answers every type with a refusal that holds the names the type asked for.
struct Ask;

#[derive(Debug)]
struct Names(&'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing but names")
    }
}

impl std::error::Error for Names {}

impl serde::de::Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Ask {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(variants))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("evrey", ["every", "timeout"]), "did you mean `every`?");
        assert_eq!(did_you_mean("Lane-3", ["lane-3"]), "did you mean `lane-3`?");
        assert_eq!(did_you_mean("colour", ["every", "timeout"]), "there are: every, timeout");
        assert_eq!(did_you_mean("x", []), "there are none in this file");
    }

    #[test]
    fn a_type_tells_its_own_names() {
        assert!(names_in::<quaywatch_schemas::site::Role>().contains(&"loop.exit"));
    }
}
