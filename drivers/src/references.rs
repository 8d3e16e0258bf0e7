//! References as JSON, by file drop, HTTP or MQTT: bookings, roles, tares, work orders.
//!
//! ```json
//! {
//!   "feed": "bookings",
//!   "as_of": "2026-03-14T02:00:00Z",
//!   "complete": true,
//!   "statements": [
//!     { "key": "B-1001", "version": 3,
//!       "valid_from": "2026-03-14T00:00:00Z", "valid_until": "2026-03-14T06:00:00Z",
//!       "booking": { "plate": "QW-12-AB", "containers": ["QWAU1234560"], "declared_gross_kg": 28400,
//!                    "zones": ["lane-3"], "tag": "E2801160600002", "driver": "0077005678" } },
//!     { "key": "R-7", "role": { "holder": "0077001234", "role": "line handler", "zones": ["quay-2"],
//!                               "shifts": [ { "from": "2026-03-14T06:00:00Z", "until": "2026-03-14T14:00:00Z" } ] } },
//!     { "key": "T-QW-12-AB", "tare": { "plate": "QW-12-AB", "tare_kg": 14200 } },
//!     { "key": "W-55", "work_order": { "zone": "quay-2" } }
//!   ]
//! }
//! ```
//!
//! `as_of` says when the system of record says that all this was so; how old a feed may be is the site file's matter.
//! `complete` (false if left out) says that these statements replace all earlier ones of the feed; otherwise they add to them,
//! and each replaces an earlier one with its `key`. `version` (0 if left out) is kept for the audit trail. A statement holds
//! `valid_from` until before `valid_until`; left out means since ever and until replaced. It states exactly one of `booking`,
//! `role`, `tare` and `work_order`. Times are RFC 3339 with an offset.
//!
//! `tag` is the radio tag on a booked vehicle, as the site's readers read it; `driver` the credential its driver will show.
//! `shifts` say when a role's holder is on duty, at most 366 of them, each from its `from` until before its `until`; left out
//! or empty means at any time.
//!
//! A field that is not in this format is refused: a misspelt `valid_until` must not become *for ever*. One wrong statement
//! refuses the whole message: half a booking list is a wrong booking list.

use crate::{
    json::{Undecodable, expected},
    strict,
};
use quaywatch_schemas::{
    Control, FeedId, Private, Reference, WallTime, ZoneId,
    reference::{Booking, Fact, References, Role, Shift},
    sealed::Identity,
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use std::fmt;

/// The largest message: a day's bookings of a large terminal are about 5 MB.
pub const MOST_BYTES: usize = 32 << 20;
/// The most statements in one message.
pub const MOST_STATEMENTS: usize = 100_000;

/// Decodes one feed's message into the control record it becomes.
pub fn decode(feed: &FeedId, payload: &[u8]) -> Result<Control, Undecodable> {
    let message: Message = strict::read(payload, MOST_BYTES, FIELDS)?;
    if message.feed.0 != *feed {
        return Err(expected("/feed", &format!("\"{feed}\", the feed this way leads to")));
    }
    let statements = message.statements.0.into_iter().enumerate().map(|(index, said)| reference(index, said));
    Ok(Control::References(References {
        feed: message.feed.0,
        as_of: message.as_of.0,
        complete: message.complete,
        statements: statements.collect::<Result<_, _>>()?,
    }))
}

/// Longest key, plate, container code, badge and role.
const LONGEST_KEY: usize = 128;
const LONGEST_PLATE: usize = 32;
const LONGEST_CONTAINER: usize = 16;
const LONGEST_BADGE: usize = 256;
const LONGEST_ROLE: usize = 64;
/// A vehicle brings and fetches a few; a road train four.
const MOST_CONTAINERS: usize = 16;
const MOST_ZONES: usize = 64;
/// An EPC of 496 bits in hexadecimal digits has 124.
const LONGEST_TAG: usize = 128;
/// A year of days.
const MOST_SHIFTS: usize = 366;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    feed: Name<FeedId>,
    as_of: Time,
    #[serde(default)]
    complete: bool,
    statements: Statements,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    key: Text<LONGEST_KEY>,
    #[serde(default)]
    version: u64,
    valid_from: Option<Time>,
    valid_until: Option<Time>,
    booking: Option<BookingSaid>,
    role: Option<RoleSaid>,
    tare: Option<TareSaid>,
    work_order: Option<WorkOrderSaid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookingSaid {
    plate: Text<LONGEST_PLATE>,
    #[serde(default)]
    containers: UpTo<MOST_CONTAINERS, Text<LONGEST_CONTAINER>>,
    declared_gross_kg: Option<u32>,
    #[serde(default)]
    zones: UpTo<MOST_ZONES, Name<ZoneId>>,
    tag: Option<Text<LONGEST_TAG>>,
    driver: Option<Text<LONGEST_BADGE>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleSaid {
    holder: Text<LONGEST_BADGE>,
    role: Text<LONGEST_ROLE>,
    zones: UpTo<MOST_ZONES, Name<ZoneId>>,
    #[serde(default)]
    shifts: UpTo<MOST_SHIFTS, ShiftSaid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftSaid {
    from: Time,
    until: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TareSaid {
    plate: Text<LONGEST_PLATE>,
    tare_kg: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkOrderSaid {
    zone: Name<ZoneId>,
}

type Statements = UpTo<MOST_STATEMENTS, Statement>;

fn reference(index: usize, said: Statement) -> Result<Reference, Undecodable> {
    let Statement { key, version, valid_from, valid_until, booking, role, tare, work_order } = said;
    let (valid_from, valid_until) = (valid_from.map(|time| time.0), valid_until.map(|time| time.0));
    if let (Some(from), Some(until)) = (valid_from, valid_until)
        && from >= until
    {
        return Err(expected(&format!("/statements/{index}/valid_until"), "a time after valid_from"));
    }
    let plate = |text: Text<LONGEST_PLATE>| Private::clear(text.0.to_uppercase());
    let fact = match (booking, role, tare, work_order) {
        (Some(said), None, None, None) => Fact::Booking(Booking {
            plate: plate(said.plate),
            containers: said.containers.0.into_iter().map(|code| container(&code)).collect(),
            declared_gross_kg: said.declared_gross_kg,
            zones: said.zones.0.into_iter().map(|zone| zone.0).collect(),
            tag: said.tag.map(|tag| Private::clear(tag.0)),
            driver: said.driver.map(|driver| Identity { handle: None, value: Private::clear(driver.0) }),
        }),
        (None, Some(said), None, None) => Fact::Role(Role {
            holder: Identity { handle: None, value: Private::clear(said.holder.0) },
            role: said.role.0,
            zones: said.zones.0.into_iter().map(|zone| zone.0).collect(),
            shifts: shifts(index, said.shifts.0)?,
        }),
        (None, None, Some(said), None) => Fact::Tare { plate: plate(said.plate), tare_kg: said.tare_kg },
        (None, None, None, Some(said)) => Fact::WorkOrder { zone: said.zone.0 },
        _ => {
            let one = "exactly one of booking, role, tare and work_order";
            return Err(expected(&format!("/statements/{index}"), one));
        }
    };
    Ok(Reference { key: key.0, valid_from, valid_until, version, fact })
}

fn shifts(index: usize, said: Vec<ShiftSaid>) -> Result<Vec<Shift>, Undecodable> {
    let shift = |(place, said): (usize, ShiftSaid)| {
        let (from, until) = (said.from.0, said.until.0);
        if from < until {
            return Ok(Shift { from, until });
        }
        Err(expected(&format!("/statements/{index}/role/shifts/{place}/until"), "a time after from"))
    };
    said.into_iter().enumerate().map(shift).collect()
}

/// As cameras' reads are kept: upper case, no separators.
fn container(code: &Text<LONGEST_CONTAINER>) -> Private {
    Private::clear(code.0.to_uppercase().replace([' ', '-'], ""))
}

/// A text of 1 to `MOST` bytes.
struct Text<const MOST: usize>(String);

impl<'de, const MOST: usize> Deserialize<'de> for Text<MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if (1..=MOST).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(D::Error::custom(format_args!("expected a text of 1 to {MOST} bytes")))
        }
    }
}

/// A name as the site file has it.
struct Name<T>(T);

impl<'de, T: TryFrom<String>> Deserialize<'de> for Name<T>
where
    T::Error: fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        T::try_from(text).map(Self).map_err(|why| D::Error::custom(format_args!("expected a name; {why}")))
    }
}

/// A time with an offset.
struct Time(WallTime);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let time = String::deserialize(from)?.parse::<jiff::Timestamp>().ok();
        let nanos = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
        nanos
            .map(|nanos| Self(WallTime(nanos)))
            .ok_or_else(|| D::Error::custom("expected an RFC 3339 time with an offset"))
    }
}

/// At most `MOST` items; stops reading at the first above.
struct UpTo<const MOST: usize, T>(Vec<T>);

impl<const MOST: usize, T> Default for UpTo<MOST, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, const MOST: usize, T: Deserialize<'de>> Deserialize<'de> for UpTo<MOST, T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items<const MOST: usize, T>(std::marker::PhantomData<T>);
        impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for Items<MOST, T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = from.next_element()? {
                    if items.len() == MOST {
                        return Err(A::Error::custom(format_args!("expected a list of at most {MOST}")));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }
        from.deserialize_seq(Items::<MOST, T>(std::marker::PhantomData)).map(Self)
    }
}

const FIELDS: &[&str] = &[
    "feed",
    "as_of",
    "complete",
    "statements",
    "key",
    "version",
    "valid_from",
    "valid_until",
    "booking",
    "role",
    "tare",
    "work_order",
    "plate",
    "containers",
    "declared_gross_kg",
    "zones",
    "holder",
    "tare_kg",
    "zone",
    "tag",
    "driver",
    "shifts",
    "from",
    "until",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> FeedId {
        FeedId::new("bookings").unwrap()
    }

    fn said(statements: &str) -> Result<References, Undecodable> {
        let message = format!(r#"{{"feed":"bookings","as_of":"2026-03-14T02:00:00Z","statements":[{statements}]}}"#);
        decode(&feed(), message.as_bytes()).map(|control| match control {
            Control::References(references) => references,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn every_kind_of_statement_is_taken() {
        let references = said(
            r#"{"key":"B-1","version":3,"valid_from":"2026-03-14T00:00:00Z","valid_until":"2026-03-14T07:00:00+01:00",
                "booking":{"plate":"qw-12-ab","containers":["QWAU 123456-0"],"declared_gross_kg":28400,"zones":["lane-3"]}},
               {"key":"R-1","role":{"holder":"0077001234","role":"line handler","zones":["quay-2"]}},
               {"key":"T-1","tare":{"plate":"QW-12-AB","tare_kg":14200}},
               {"key":"W-1","work_order":{"zone":"quay-2"}}"#,
        )
        .unwrap();
        assert!(!references.complete);
        assert_eq!(references.as_of, WallTime(1_773_453_600_000_000_000));
        let [booking, role, tare, work_order] = &references.statements[..] else { panic!("four statements") };
        assert_eq!((booking.version, booking.valid_until), (3, Some(WallTime(1_773_468_000_000_000_000))));
        let Fact::Booking(said) = &booking.fact else { panic!("a booking") };
        assert_eq!(said.plate.as_clear(), Some("QW-12-AB"));
        assert_eq!(said.containers[0].as_clear(), Some("QWAU1234560"));
        assert!(matches!(&role.fact, Fact::Role(role) if role.holder.value.as_clear() == Some("0077001234")));
        assert!(matches!(&tare.fact, Fact::Tare { tare_kg: 14200, .. }));
        assert!(matches!(&work_order.fact, Fact::WorkOrder { zone } if zone.as_str() == "quay-2"));
    }

    #[test]
    fn a_refusal_names_the_place_and_what_was_expected_and_never_what_was_there() {
        for (statement, says) in [
            (
                r#"{"key":"K","tare":{"plate":"SECRET","tare_kg":"SECRET, expected SECRET"}}"#,
                r#"at "/statements/0/tare/tare_kg": expected u32"#,
            ),
            (
                r#"{"key":"K","tare":{"plate":"SECRET","tare_kg":-5}}"#,
                r#"at "/statements/0/tare/tare_kg": expected u32"#,
            ),
            (r#"{"key":"K","tare":{"plate":7,"tare_kg":5}}"#, r#"at "/statements/0/tare/plate": expected a string"#),
            (r#"{"key":"K","tare":{"tare_kg":5}}"#, r#"at "/statements/0/tare": the field `plate` is missing"#),
            (
                r#"{"key":"K","tare":{"plate":"SECRET","tare_kg":5},"SECRET":1}"#,
                r#"at "/statements/0": a field that is not known; expected one of"#,
            ),
            (
                r#"{"key":"K","tare":{"plate":"","tare_kg":5}}"#,
                r#"at "/statements/0/tare/plate": expected a text of 1 to 32 bytes"#,
            ),
            (
                r#"{"key":"K","work_order":{"zone":"SECRET"}}"#,
                r#"at "/statements/0/work_order/zone": expected a name; a name has"#,
            ),
            (
                r#"{"key":"K","valid_until":"SECRET","work_order":{"zone":"quay"}}"#,
                r#"at "/statements/0/valid_until": expected an RFC 3339 time"#,
            ),
            (
                r#"{"key":"K","valid_from":"2026-03-14T02:00:00Z","valid_until":"2026-03-14T02:00:00Z","work_order":{"zone":"quay"}}"#,
                r#"at "/statements/0/valid_until": expected a time after valid_from"#,
            ),
            (r#"{"key":"K"}"#, r#"at "/statements/0": expected exactly one of booking"#),
            (
                r#"{"key":"K","work_order":{"zone":"quay"},"tare":{"plate":"SECRET","tare_kg":5}}"#,
                r#"at "/statements/0": expected exactly one of booking"#,
            ),
            (
                r#"{"key":"K","key":"SECRET","work_order":{"zone":"quay"}}"#,
                r#"at "/statements/0": the field `key` is there twice"#,
            ),
        ] {
            let why = said(statement).unwrap_err().to_string();
            assert!(why.starts_with(says), "{why}");
            assert!(!why.contains("SECRET"), "{why}");
        }
    }

    #[test]
    fn what_is_not_one_whole_message_of_this_feed_is_refused() {
        for (payload, says) in [
            (&b""[..], "is empty"),
            (b"{\"feed\":", "ends too early"),
            (b"[]", "expected struct"),
            (br#"{"feed":"roster","as_of":"2026-03-14T02:00:00Z","statements":[]}"#, "expected \"bookings\""),
            (br#"{"feed":"bookings","as_of":"2026-03-14T02:00:00","statements":[]}"#, "with an offset"),
            (br#"{"feed":"bookings","as_of":"2026-03-14T02:00:00Z","statements":[]} {}"#, "is not JSON"),
        ] {
            let why = decode(&feed(), payload).unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_message_with_too_many_statements_is_refused_at_the_first_above() {
        let statement = r#"{"key":"W","work_order":{"zone":"quay"}}"#;
        let message = vec![statement; MOST_STATEMENTS].join(",");
        assert_eq!(said(&message).unwrap().statements.len(), MOST_STATEMENTS);
        let why = said(&format!("{message},{statement}")).unwrap_err().to_string();
        assert!(why.contains("expected a list of at most 100000"), "{why}");
    }
}
