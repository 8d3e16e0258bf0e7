//! Acts that one person alone may not do: what they ask for, and whether they may be carried out.
//!
//! An act is a small JSON document about one site, with a reason, good for hours at most and for one time. Two persons of
//! different departments sign its bytes ([`Signable::Act`]); the persons are those of the sharing file in force. Departments
//! differ because two colleagues look at a neighbour's plate more easily than two strangers do.

use crate::signing::{Signable, Signature, signers};
use jiff::{SignedDuration, Timestamp};
use quaywatch_schemas::{PersonId, Policy, SiteId, situation::IdentityKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What two persons ask of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// The gateway's site.
    pub site: SiteId,
    /// Random, so that it is carried out once.
    pub id: ActId,
    /// When it was written.
    pub made: Timestamp,
    /// Until when it may be carried out: at most [`Act::LONGEST`] after it was written.
    pub valid_until: Timestamp,
    /// Why, for the record: the case, never a plate or a name.
    pub reason: String,
    /// What.
    pub what: What,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// One value of one situation is shown, once, to whoever carries the act out.
    Reveal {
        /// The reference people were given.
        reference: String,
        /// The subject, as explanations name it: `vehicle.following`.
        subject: String,
        /// Which of its identities.
        kind: Kind,
    },
    /// One value of one situation is kept for a case under a key of its own, until a date.
    Hold {
        /// The reference people were given.
        reference: String,
        /// The subject, as explanations name it.
        subject: String,
        /// Which of its identities.
        kind: Kind,
        /// The case. Its name is in the record.
        case: String,
        /// Who asked for it: a court, an authority.
        authority: String,
        /// Until the end of this day, UTC; at most [`LONGEST_HOLD`] from the day the act was written.
        until: jiff::civil::Date,
    },
    /// What is held for a case is deleted before its time.
    Release {
        /// The case.
        case: String,
    },
    /// All that the gateway holds on one plate is listed, once, to whoever carries the act out.
    ReportSubject {
        /// The plate, as cameras read it. It stands in the act, so the act is as confidential as the plate.
        plate: String,
    },
}

/// Days that a hold may last: two years. Whoever needs longer has it signed again.
pub const LONGEST_HOLD: i64 = 732;

/// Which identity of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Plate,
    Container,
    Tag,
    /// The badge or name behind a person's stand-in.
    Badge,
}

impl From<Kind> for IdentityKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Plate => Self::Plate,
            Kind::Container => Self::Container,
            Kind::Tag => Self::Tag,
            Kind::Badge => Self::Handle,
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "plate" => Ok(Self::Plate),
            "container" => Ok(Self::Container),
            "tag" => Ok(Self::Tag),
            "badge" => Ok(Self::Badge),
            _ => Err("a subject has a plate, a container, a tag or a badge".into()),
        }
    }
}

/// Names one act: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActId(pub [u8; 16]);

impl TryFrom<String> for ActId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = (text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .then(|| u128::from_str_radix(&text, 16).ok())
            .flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or("an act is named by 32 hexadecimal digits")
    }
}

impl From<ActId> for String {
    fn from(id: ActId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// An act that may be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What.
    pub act: Act,
    /// Whose signatures count, by name.
    pub by: Vec<PersonId>,
}

/// Why an act is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// The file is none.
    NoAct(String),
    /// It is another gateway's.
    OtherSite { said: SiteId },
    /// Too early, too late, or good for too long.
    NotNow(String),
    /// It would hold something for no time, or for longer than two years.
    HoldsTooLong,
    /// It says no reason that a person could judge later.
    NoReason,
    /// The sharing file in force names nobody.
    NobodyMaySign,
    /// Fewer than two persons of different departments.
    TooFew { counted: Vec<PersonId>, others: Vec<String> },
}

impl Act {
    /// The most time between writing and carrying out. A shift, so that whoever signs knows the case as it is now.
    pub const LONGEST: SignedDuration = SignedDuration::from_hours(8);

    /// Whether an act may be carried out on a gateway now. That it is carried out once is the gateway's to remember.
    pub fn judge(
        text: &[u8],
        signatures: &[Signature],
        policy: &Policy,
        site: &SiteId,
        now: Timestamp,
    ) -> Result<Granted, NotDone> {
        let act: Self = serde_json::from_slice(text).map_err(|why| NotDone::NoAct(why.to_string()))?;
        if act.site != *site {
            return Err(NotDone::OtherSite { said: act.site });
        }
        act.is_in_time(now)?;
        if !(REASON.contains(&act.reason.trim().chars().count())) {
            return Err(NotDone::NoReason);
        }
        if let What::Hold { until, .. } = &act.what {
            let written = act.made.to_zoned(jiff::tz::TimeZone::UTC).date();
            let days = until.duration_since(written).as_hours() / 24;
            if !(1..=LONGEST_HOLD).contains(&days) {
                return Err(NotDone::HoldsTooLong);
            }
        }
        if policy.persons.is_empty() {
            return Err(NotDone::NobodyMaySign);
        }
        let (counted, others) = signers(&policy.persons, Signable::Act, text, signatures);
        let departments = || counted.iter().filter_map(|by| Some(&policy.persons.get(by)?.department));
        if departments().all(|department| Some(department) == departments().next()) {
            return Err(NotDone::TooFew { counted, others });
        }
        Ok(Granted { act, by: counted })
    }

    fn is_in_time(&self, now: Timestamp) -> Result<(), NotDone> {
        let not_now = |why: &str| Err(NotDone::NotNow(why.into()));
        match self.valid_until.duration_since(self.made) {
            length if length <= SignedDuration::ZERO => not_now("it was never good"),
            length if length > Self::LONGEST => not_now("it is good for longer than 8 hours"),
            _ if now > self.valid_until => not_now("it is not good any more"),
            // Whoever writes it has another clock.
            _ if self.made.duration_since(now) > CLOCKS_DIFFER => not_now("it is not good yet"),
            _ => Ok(()),
        }
    }
}

/// Characters: a case number and what it is about, and no report.
const REASON: std::ops::RangeInclusive<usize> = 8..=500;
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAct(why) => write!(f, "this is no act: {why}; `quaywatch reveal` writes one"),
            Self::OtherSite { said } => write!(f, "it is for the gateway of {said}"),
            Self::NotNow(why) => write!(f, "{why}; write it again and have it signed again"),
            Self::NoReason => f.write_str("its reason has 8 to 500 characters: the case, never a plate or a name"),
            Self::HoldsTooLong => write!(f, "a hold is for 1 to {LONGEST_HOLD} days from the day it was written"),
            Self::NobodyMaySign => {
                f.write_str("the sharing file in force names no persons who may sign ([persons.NAME])")
            }
            Self::TooFew { counted, others } => {
                let counted = counted.iter().map(PersonId::as_str).collect::<Vec<_>>().join(" and ");
                let counted =
                    if counted.is_empty() { "nobody's signature counts".into() } else { format!("{counted} signed") };
                let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
                write!(f, "it needs the signatures of two persons of different departments, and {counted}{others}")
            }
        }
    }
}

impl std::error::Error for NotDone {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::public_key;
    use quaywatch_schemas::{
        Department,
        policy::{Person, PersonRole},
    };

    fn secret(name: &str) -> [u8; 32] {
        *blake3::hash(name.as_bytes()).as_bytes()
    }

    fn policy() -> Policy {
        let person = |name: &str, department: &str| {
            let department = Department::new(department).unwrap();
            let key = public_key(&secret(name));
            (PersonId::new(name).unwrap(), Person { department, roles: [PersonRole::Pfso].into(), key })
        };
        let persons = [person("ada", "port-security"), person("ann", "port-security"), person("ben", "legal")];
        Policy { persons: persons.into(), ..Policy::default() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn act() -> Act {
        Act {
            site: SiteId::new("gate-2").unwrap(),
            id: ActId([7; 16]),
            made: at("2026-03-14T02:20:00Z"),
            valid_until: at("2026-03-14T04:20:00Z"),
            reason: "case 2026-118, second truck on one grant".into(),
            what: What::Reveal {
                reference: "QW-G2-QPE9YC".into(),
                subject: "vehicle.following".into(),
                kind: Kind::Plate,
            },
        }
    }

    fn judged(act: &Act, by: &[&str], now: &str) -> Result<Vec<PersonId>, NotDone> {
        let text = serde_json::to_vec_pretty(act).unwrap();
        let sign = |name: &&str| Signature::sign(Signable::Act, &text, PersonId::new(name).unwrap(), &secret(name));
        let signatures: Vec<Signature> = by.iter().map(sign).collect();
        let site = SiteId::new("gate-2").unwrap();
        Act::judge(&text, &signatures, &policy(), &site, at(now)).map(|granted| granted.by)
    }

    const NOW: &str = "2026-03-14T02:30:00Z";

    #[test]
    fn two_persons_of_different_departments_may_and_two_colleagues_may_not() {
        assert_eq!(judged(&act(), &["ada", "ben"], NOW).map(|by| by.len()), Ok(2));
        for by in [&[][..], &["ada"], &["ada", "ada"], &["ada", "ann"], &["ada", "mal"]] {
            let refused = judged(&act(), by, NOW).unwrap_err();
            assert!(matches!(refused, NotDone::TooFew { .. }), "{by:?}: {refused}");
        }
    }

    #[test]
    fn an_act_is_for_one_site_for_hours_and_says_why() {
        let by = ["ada", "ben"];
        let elsewhere = Act { site: SiteId::new("gate-3").unwrap(), ..act() };
        assert!(matches!(judged(&elsewhere, &by, NOW), Err(NotDone::OtherSite { .. })));
        for (made, until, now) in [
            ("2026-03-14T02:20:00Z", "2026-03-14T04:20:00Z", "2026-03-14T04:20:01Z"),
            ("2026-03-14T02:20:00Z", "2026-03-14T04:20:00Z", "2026-03-14T02:10:00Z"),
            ("2026-03-14T02:20:00Z", "2026-03-15T04:20:00Z", NOW),
            ("2026-03-14T02:20:00Z", "2026-03-14T01:20:00Z", NOW),
        ] {
            let act = Act { made: at(made), valid_until: at(until), ..act() };
            assert!(matches!(judged(&act, &by, now), Err(NotDone::NotNow(_))), "{made} {until} {now}");
        }
        assert_eq!(judged(&Act { reason: "because".into(), ..act() }, &by, NOW), Err(NotDone::NoReason));
    }

    #[test]
    fn a_hold_ends() {
        let hold = |until: &str| Act {
            what: What::Hold {
                reference: "QW-G2-QPE9YC".into(),
                subject: "vehicle.following".into(),
                kind: Kind::Plate,
                case: "2026-118".into(),
                authority: "court of Rotterdam".into(),
                until: until.parse().unwrap(),
            },
            ..act()
        };
        assert!(judged(&hold("2027-03-14"), &["ada", "ben"], NOW).is_ok());
        for until in ["2026-03-14", "2020-01-01", "2029-01-01"] {
            assert_eq!(judged(&hold(until), &["ada", "ben"], NOW), Err(NotDone::HoldsTooLong), "{until}");
        }
    }

    #[test]
    fn a_changed_act_has_no_signatures_and_a_strange_one_is_none() {
        let text = serde_json::to_string(&act()).unwrap();
        let site = SiteId::new("gate-2").unwrap();
        let sign =
            |name: &str| Signature::sign(Signable::Act, text.as_bytes(), PersonId::new(name).unwrap(), &secret(name));
        let signatures = [sign("ada"), sign("ben")];
        let judge = |text: &str, policy: &Policy| Act::judge(text.as_bytes(), &signatures, policy, &site, at(NOW));
        assert!(judge(&text, &policy()).is_ok());
        let other = text.replace("vehicle.following", "vehicle.granted");
        assert!(matches!(judge(&other, &policy()), Err(NotDone::TooFew { .. })));
        assert!(matches!(judge(&text.replace("\"made\"", "\"mad\""), &policy()), Err(NotDone::NoAct(_))));
        assert_eq!(judge(&text, &Policy::default()), Err(NotDone::NobodyMaySign));
    }
}
