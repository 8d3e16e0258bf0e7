//! Words and values that only the site file has.

use super::{Listen, Text, amount, texts};
use crate::config::{
    site::RegisterBitTable,
    written::{Fault, Value, Vocabulary, Written, not},
};
use quaywatch_drivers::{
    json::TimeFormat,
    modbus::{Area, BitArea, Fixed, Format, Order, RegisterArea},
    mqtt::Session,
};
use quaywatch_schemas::{
    observation::ObjectClass,
    site::patterns::{Key, Says, Skip},
    situation::{Severity, Urgency},
    units::{Quantity, Unit},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize,
    de::{MapAccess, SeqAccess},
};
use std::net::SocketAddr;

/// An address to listen on, or `"off"`.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct ListenOrOff(pub(in crate::config) Option<SocketAddr>);

/// A block a Modbus device insists on, in the file's own addresses: `"holding 0..10"` is 0 to 9.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct FixedBlock {
    area: Area,
    first: u32,
    count: u32,
}

/// When a measure has settled.
#[derive(Debug)]
pub(in crate::config) enum StableWhen {
    /// A register's bit has this state.
    Bit(RegisterBitTable),
    /// The group `stable` is one of these.
    Texts(Vec<Written<Text>>),
}

/// What kind of reading a sensor gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ReadingKind {
    Contact,
    Count,
    Measure,
    Plate,
    Container,
    Tag,
    Credential,
    People,
    Health,
    Frame,
    Vessel,
}

/// What a detected thing is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Seeable {
    Person,
    Vehicle,
    Vessel,
    Animal,
    Other,
}

/// In which terms a source of detections says where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Positions {
    /// Distance and bearing from its mount, or places in the site's grid.
    Polar,
    /// Places in the site's grid only.
    Cartesian,
}

/// How a number is stored in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum NumberType {
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// In which order bytes and words come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::config) enum WordOrder {
    Abcd,
    Cdab,
    Badc,
    Dcba,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum TimeNotation {
    Rfc3339,
    UnixSeconds,
    UnixMillis,
}

/// Which of a broker's sessions carries a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum SessionName {
    Alarm,
    Routine,
}

/// What a source can say, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum SaysWord {
    On,
    Off,
    Stepped,
    Read,
    Granted,
    Denied,
    NotTaken,
    Duress,
    Seen,
    Nobody,
    Blind,
    Faulty,
    Tampered,
}

/// What a detected thing is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum ClassWord {
    Person,
    Vehicle,
    Vessel,
    Animal,
    Other,
}

/// What is followed: of a class, or anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum TrackWord {
    Any,
    Person,
    Vehicle,
    Vessel,
    Animal,
    Other,
}

/// A value with its unit, in the base unit of what it measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) struct Amount {
    pub(in crate::config) value: f64,
    pub(in crate::config) quantity: Quantity,
}

/// How often something is seen: `3`, `"3.."`, `"2..5"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Times {
    pub(in crate::config) least: u16,
    pub(in crate::config) most: Option<u16>,
}

/// What a feed states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::config) enum FactKind {
    Booking,
    Role,
    Tare,
    WorkOrder,
}

macro_rules! vocabularies {
    ($($type:ident, $noun:literal, $expected:literal;)*) => {$(
        impl Vocabulary for $type {
            const NOUN: &'static str = $noun;
            const EXPECTED: &'static str = $expected;
        }
    )*};
}

vocabularies! {
    ReadingKind, "kind of reading", "a kind of reading such as \"contact\"";
    Seeable, "kind of object", "a kind of object such as \"person\"";
    Positions, "kind of positions", "a kind of positions, \"polar\" or \"cartesian\"";
    NumberType, "number type", "a number type such as \"u16\"";
    WordOrder, "byte order", "a byte order such as \"CDAB\"";
    TimeNotation, "time format", "a time format such as \"unix-seconds\"";
    SessionName, "session", "a session, \"alarm\" or \"routine\"";
    FactKind, "kind of reference", "a kind of reference such as \"booking\"";
    SaysWord, "such word", "what is said, such as \"on\"";
    TrackWord, "class to follow", "a class to follow such as \"person\", or \"any\"";
    ClassWord, "class", "a class such as \"person\"";
    Key, "key", "a key such as \"zone\" or \"plate\"";
    Skip, "way to skip", "\"past_last\" or \"to_next\"";
    Severity, "severity", "a severity such as \"Moderate\"";
    Urgency, "urgency", "an urgency such as \"Immediate\"";
}

impl ReadingKind {
    pub(in crate::config) fn word(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Count => "count",
            Self::Measure => "measure",
            Self::Plate => "plate",
            Self::Container => "container",
            Self::Tag => "tag",
            Self::Credential => "credential",
            Self::People => "people",
            Self::Health => "health",
            Self::Frame => "frame",
            Self::Vessel => "vessel",
        }
    }
}

impl From<Seeable> for ObjectClass {
    fn from(seen: Seeable) -> Self {
        match seen {
            Seeable::Person => Self::Person,
            Seeable::Vehicle => Self::Vehicle,
            Seeable::Vessel => Self::Vessel,
            Seeable::Animal => Self::Animal,
            Seeable::Other => Self::Other,
        }
    }
}

impl From<NumberType> for Format {
    fn from(number: NumberType) -> Self {
        match number {
            NumberType::I16 => Self::I16,
            NumberType::U16 => Self::U16,
            NumberType::I32 => Self::I32,
            NumberType::U32 => Self::U32,
            NumberType::I64 => Self::I64,
            NumberType::U64 => Self::U64,
            NumberType::F32 => Self::F32,
            NumberType::F64 => Self::F64,
        }
    }
}

impl From<WordOrder> for Order {
    fn from(order: WordOrder) -> Self {
        match order {
            WordOrder::Abcd => Self::Abcd,
            WordOrder::Cdab => Self::Cdab,
            WordOrder::Badc => Self::Badc,
            WordOrder::Dcba => Self::Dcba,
        }
    }
}

impl From<TimeNotation> for TimeFormat {
    fn from(notation: TimeNotation) -> Self {
        match notation {
            TimeNotation::Rfc3339 => Self::Rfc3339,
            TimeNotation::UnixSeconds => Self::UnixSeconds,
            TimeNotation::UnixMillis => Self::UnixMillis,
        }
    }
}

impl From<SessionName> for Session {
    fn from(name: SessionName) -> Self {
        match name {
            SessionName::Alarm => Self::Alarm,
            SessionName::Routine => Self::Routine,
        }
    }
}

impl SaysWord {
    pub(in crate::config) fn says(self, class: Option<ObjectClass>) -> Says {
        match self {
            Self::On => Says::On,
            Self::Off => Says::Off,
            Self::Stepped => Says::Stepped,
            Self::Read => Says::Read,
            Self::Granted => Says::Granted,
            Self::Denied => Says::Denied,
            Self::NotTaken => Says::NotTaken,
            Self::Duress => Says::Duress,
            Self::Seen => Says::Seen(class),
            Self::Nobody => Says::Nobody,
            Self::Blind => Says::Blind,
            Self::Faulty => Says::Faulty,
            Self::Tampered => Says::Tampered,
        }
    }
}

impl From<ClassWord> for ObjectClass {
    fn from(class: ClassWord) -> Self {
        match class {
            ClassWord::Person => Self::Person,
            ClassWord::Vehicle => Self::Vehicle,
            ClassWord::Vessel => Self::Vessel,
            ClassWord::Animal => Self::Animal,
            ClassWord::Other => Self::Other,
        }
    }
}

impl TrackWord {
    pub(in crate::config) fn class(self) -> Option<ObjectClass> {
        match self {
            Self::Any => None,
            Self::Person => Some(ObjectClass::Person),
            Self::Vehicle => Some(ObjectClass::Vehicle),
            Self::Vessel => Some(ObjectClass::Vessel),
            Self::Animal => Some(ObjectClass::Animal),
            Self::Other => Some(ObjectClass::Other),
        }
    }
}

impl Value for Amount {
    const EXPECTED: &'static str = "a value with its unit such as \"14 m/s\" or \"30 t\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let fault =
            || not::<Self>(text, "write the number, a blank and its unit (UCUM): kg, t, kN, m, m/s, Cel, %, 1, …");
        let (number, unit) = amount(text).ok_or_else(fault)?;
        let unit = Unit::new(unit).map_err(|_| fault())?;
        Ok(Self { value: unit.to_base(number), quantity: unit.quantity() })
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Err(Fault::new(format!("{number} has no unit"), format!("write {}, in quotes", Self::EXPECTED)))
    }

    fn float(number: f64) -> Result<Self, Fault> {
        Err(Fault::new(format!("{number} has no unit"), format!("write {}, in quotes", Self::EXPECTED)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^ *-?[0-9]+(\\.[0-9]+)? *[^ ]+ *$")
    }
}

impl Value for Times {
    const EXPECTED: &'static str = "how often, such as 3, \"3..\" or \"2..5\"";

    fn text(text: &str) -> Result<Self, Fault> {
        let number = |text: &str| text.trim().parse::<u16>().ok();
        let fault = || not::<Self>(text, "write 3 or \"3..\" for at least, \"2..5\" for at least and at most");
        match text.split_once("..") {
            None => Ok(Self { least: number(text).ok_or_else(fault)?, most: None }),
            Some((least, "")) => Ok(Self { least: number(least).ok_or_else(fault)?, most: None }),
            Some((least, most)) => {
                let (least, most) = number(least).zip(number(most)).ok_or_else(fault)?;
                Ok(Self { least, most: Some(most) })
            }
        }
    }

    fn integer(number: i64) -> Result<Self, Fault> {
        Self::text(&number.to_string())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": Self::EXPECTED, "type": ["integer", "string"] })
    }
}

impl Value for ListenOrOff {
    const EXPECTED: &'static str = "an address and port such as \"127.0.0.1:9464\", or \"off\"";

    fn text(text: &str) -> Result<Self, Fault> {
        if text == "off" { Ok(Self(None)) } else { Listen::text(text).map(|listen| Self(Some(listen.0))) }
    }

    fn integer(port: i64) -> Result<Self, Fault> {
        Listen::integer(port).map(|listen| Self(Some(listen.0)))
    }

    fn boolean(on: bool) -> Result<Self, Fault> {
        let help = if on { "write the address: \"127.0.0.1:9464\"" } else { "write \"off\"" };
        Err(Fault::new(format!("{on} is not {}", Self::EXPECTED), help))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^(off|.+:[0-9]+)$")
    }
}

impl Value for FixedBlock {
    const EXPECTED: &'static str = "a block such as \"holding 0..10\" (0 to 9)";

    fn text(text: &str) -> Result<Self, Fault> {
        let fault = |help: &str| not::<Self>(text, help);
        let (area, range) =
            text.trim().split_once(' ').ok_or_else(|| fault("write the area, a blank and the addresses"))?;
        let area = match area {
            "coil" => Area::Bits(BitArea::Coils),
            "discrete" => Area::Bits(BitArea::DiscreteInputs),
            "holding" => Area::Registers(RegisterArea::Holding),
            "input" => Area::Registers(RegisterArea::Input),
            _ => return Err(fault("areas are holding, input, coil and discrete")),
        };
        let (first, after) = range
            .trim()
            .split_once("..")
            .ok_or_else(|| fault("write the first address, two dots and the one after the last"))?;
        let (after, more) = match after.strip_prefix('=') {
            Some(last) => (last, 1),
            None => (after, 0),
        };
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number <= 65_536);
        let (first, after) =
            number(first).zip(number(after)).ok_or_else(|| fault("addresses are whole numbers up to 65536"))?;
        let count = (after + more).checked_sub(first).filter(|count| *count > 0);
        let count = count.ok_or_else(|| fault("the block is empty: the second address is the one after the last"))?;
        let most = if matches!(area, Area::Bits(_)) { 2000 } else { 125 };
        if count > most {
            return Err(fault(&format!("the protocol reads at most {most} of them at once")));
        }
        Ok(Self { area, first, count })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        texts(Self::EXPECTED, "^(holding|input|coil|discrete) +[0-9]+ *\\.\\.=? *[0-9]+$")
    }
}

impl FixedBlock {
    /// As the protocol counts, if the file counts from `base`.
    pub(in crate::config) fn fixed(self, base: u32) -> Option<Fixed> {
        let start = u16::try_from(self.first.checked_sub(base)?).ok()?;
        Some(Fixed { area: self.area, start, count: u16::try_from(self.count).ok()? })
    }
}

impl Value for StableWhen {
    const EXPECTED: &'static str = "a register's bit such as { register = 3, bit = 0 }, or texts such as [\"ST\"]";

    fn text(text: &str) -> Result<Self, Fault> {
        Err(not::<Self>(text, format!("write [{text:?}]")))
    }

    fn list<'de, A: SeqAccess<'de>>(list: A) -> Result<Result<Self, Fault>, A::Error> {
        Ok(<Vec<Written<Text>> as Value>::list(list)?.map(Self::Texts))
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Result<Self, Fault>, A::Error> {
        Ok(<RegisterBitTable as Value>::table(table)?.map(Self::Bit))
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let bit = generator.subschema_for::<RegisterBitTable>();
        json_schema!({ "anyOf": [bit, { "type": "array", "items": { "type": "string" } }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_written_as_a_range_and_counted_from_the_base() {
        let holding = Area::Registers(RegisterArea::Holding);
        let fixed = |text: &str, base| FixedBlock::text(text).unwrap().fixed(base);
        assert_eq!(fixed("holding 0..10", 0), Some(Fixed { area: holding, start: 0, count: 10 }));
        assert_eq!(fixed("holding 1..=10", 1), Some(Fixed { area: holding, start: 0, count: 10 }));
        assert_eq!(fixed("holding 0..10", 1), None, "there is no address 0 where they are counted from 1");
        for bad in ["holding", "holding 5..5", "holding 0..126", "register 0..10", "holding a..b", "coil 0..2001"] {
            assert!(FixedBlock::text(bad).is_err(), "{bad}");
        }
    }
}
