//! Phrases rendered for one recipient: what goes into each hole is decided by the class of what would stand there.

use quaywatch_schemas::{
    FieldClass, OrganisationId, Policy, Private, Purpose, RecipientId, Site, WallTime,
    policy::{Recipient, Treatment},
    situation::{Part, Phrase, SituationId},
};

/// What a recipient sees in place of a value that is dropped.
const LEFT_OUT: &str = "…";

/// What one organisation is shown instead of a value, for one purpose and one month: the same for the same value within
/// them, another outside, so that what is told for safety cannot be joined to what is told for customs, nor this year's to
/// last year's. Plates are guessable, so it is keyed.
pub(crate) struct StandIns([u8; 32]);

impl StandIns {
    /// For what began at a moment: a situation keeps its stand-ins when it goes on into another month.
    pub(crate) fn of(organisation: &OrganisationId, purpose: &Purpose, from: WallTime, key: &[u8; 32]) -> Self {
        let month = timestamp(from).map(|from| from.strftime("%Y-%m").to_string()).unwrap_or_default();
        let scope = [organisation.as_str().as_bytes(), purpose.as_str().as_bytes(), month.as_bytes()];
        Self(keyed(key, "pseudonyms", &scope))
    }

    fn instead_of(&self, value: &str) -> String {
        format!("p-{}", crockford(&keyed(&self.0, "pseudonym", &[value.as_bytes()]), 10))
    }
}

/// A phrase for one recipient.
pub(crate) fn render(phrase: &Phrase, recipient: &Recipient, stand_ins: &StandIns) -> String {
    let mut out = String::new();
    add(&mut out, &phrase.0, recipient, stand_ins);
    out
}

fn add(out: &mut String, parts: &[Part], recipient: &Recipient, stand_ins: &StandIns) {
    for part in parts {
        match part {
            Part::Words(words) => out.push_str(words),
            Part::Time(at) => out.push_str(&clock_time(*at)),
            Part::Value { class, value } => {
                out.push_str(treated(*class, value, recipient, stand_ins).as_deref().unwrap_or(LEFT_OUT));
            }
            Part::Detail { class, parts } if recipient.treatment(*class) == Treatment::Show => {
                add(out, parts, recipient, stand_ins);
            }
            Part::Detail { .. } => {}
        }
    }
}

/// A value of a class for one recipient; `None` if it gets none.
pub(crate) fn treated(
    class: FieldClass,
    value: &Private,
    recipient: &Recipient,
    stand_ins: &StandIns,
) -> Option<String> {
    let clear = value.as_clear()?;
    match recipient.treatment(class) {
        // A person is never shown as anything but a stand-in, whatever the treatment says.
        Treatment::Show if class == FieldClass::Identity => Some(stand_ins.instead_of(clear)),
        Treatment::Show => Some(clear.to_owned()),
        Treatment::Mask => Some(mask(clear)),
        Treatment::Pseudonym => Some(stand_ins.instead_of(clear)),
        Treatment::Drop => None,
    }
}

/// Shortens a value so that somebody who has the thing before them can recognise it, and nobody can look it up: two letters
/// of its first and of its last group (`12-BRV-4` becomes `12-••••-4`), or its first and last letter if it has fewer than three
/// groups. The dots are always four, so that the length does not tell either.
pub fn mask(value: &str) -> String {
    let groups: Vec<Vec<char>> = value.split(['-', ' ']).map(|group| group.chars().collect()).collect();
    if let [first, middle @ .., last] = groups.as_slice()
        && middle.iter().any(|group| !group.is_empty())
    {
        let begin: String = first.iter().take(2).collect();
        let end: String = last.iter().skip(last.len().saturating_sub(2)).collect();
        return format!("{begin}-••••-{end}");
    }
    let letters: Vec<char> = value.chars().collect();
    match letters.as_slice() {
        [first, .., last] if letters.len() >= 5 => format!("{first}••••{last}"),
        _ => "••••".into(),
    }
}

/// The reference people say over a radio: `QW-<site>-<six letters>`. Six letters are 30 bits: beside the 200,000 situations a
/// busy gate keeps, one in five thousand gets a reference that another has; with four letters it would be one in five. Members of a sharing group get the same one, so that
/// they can talk to each other; others cannot tell that they were told of the same thing.
pub fn reference(
    recipient_id: &RecipientId,
    recipient: &Recipient,
    policy: &Policy,
    site: &Site,
    situation: &SituationId,
    key: &[u8; 32],
) -> String {
    let group = policy.groups.iter().find(|(_, group)| group.organisations.contains(&recipient.organisation));
    let scope = group.map_or_else(|| format!("recipient {recipient_id}"), |(group, _)| format!("group {group}"));
    let hash = keyed(key, "reference", &[scope.as_bytes(), &situation.0]);
    format!("QW-{}-{}", short(site.id.as_str()), crockford(&hash, 6))
}

/// `gate-2` is `G2`: the first letter of each word, numbers whole.
fn short(site: &str) -> String {
    let words = site.split('-').filter(|word| !word.is_empty());
    words
        .map(|word| match word.bytes().all(|byte| byte.is_ascii_digit()) {
            true => word.to_owned(),
            false => word[..1].to_ascii_uppercase(),
        })
        .collect()
}

fn keyed(key: &[u8; 32], what: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in std::iter::once(&what.as_bytes()).chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Crockford's base 32: no I, L, O or U, so that it can be read aloud.
fn crockford(hash: &[u8; 32], letters: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    hash.iter().take(letters).map(|byte| ALPHABET[usize::from(byte & 31)] as char).collect()
}

/// A moment as sentences have it.
fn clock_time(at: WallTime) -> String {
    timestamp(at).map_or_else(String::new, |at| at.strftime("%H:%M:%S%.1f UTC").to_string())
}

/// A moment as machines have it.
pub(crate) fn rfc3339(at: WallTime) -> String {
    timestamp(at)
        .map_or_else(|| "1970-01-01T00:00:00.000Z".into(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// A moment as people at the site have it.
pub(crate) fn local_time(at: WallTime, timezone: &str) -> String {
    let zone = jiff::tz::TimeZone::get(timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    timestamp(at).map_or_else(String::new, |at| at.to_zoned(zone).strftime("%H:%M").to_string())
}

pub(crate) fn timestamp(at: WallTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok()
}
