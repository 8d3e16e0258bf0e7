//! A situation's explanation as a reader sees it, at three in the morning: what it is, how sure, what was seen and what to make
//! of it; then what spoke for it and against it, strongest first, so that the numbers can be added up by hand.
//!
//! Identities are masked: revealing one is another act. What cannot be read any more is `[deleted DATE]`.

use crate::ledger::Places;
use quaywatch_schemas::{
    Calibration, NoData, Private, SensorId, Situation, WallTime,
    model::logistic,
    sealed::KeyId,
    situation::{Evidence, EvidenceGroup, Part, Phase, Phrase, Side, SourceState},
    time::ClockState,
};
use std::fmt::{self, Display, Formatter};

/// A page about one situation.
pub struct Page<'a> {
    /// The reference people were given.
    pub reference: &'a str,
    /// The latest revision: how it is now.
    pub latest: &'a Situation,
    /// The revision that was surest, if that is not the latest: why it was said.
    pub surest: Option<&'a Situation>,
    /// Names of zones and the time zone.
    pub places: &'a Places,
    /// When a key was destroyed.
    pub deleted: &'a dyn Fn(KeyId) -> Option<WallTime>,
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let why = self.surest.unwrap_or(self.latest);
        self.head(f)?;
        self.story(f, why)?;
        self.reasons(f, why)?;
        self.unasked(f, why)?;
        self.others(f, why)?;
        self.sources(f, why)?;
        self.foot(f, why)
    }
}

/// One line under *Why*: a term of the sum.
enum Term<'a> {
    One(&'a Evidence),
    Capped(&'a EvidenceGroup),
}

impl Term<'_> {
    fn weight(&self) -> f64 {
        match self {
            Self::One(piece) => piece.weight,
            Self::Capped(group) => group.after,
        }
    }

    fn is_silence(&self) -> bool {
        matches!(self, Self::One(piece) if piece.side == Side::Absent)
    }
}

impl Page<'_> {
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (latest, why) = (self.latest, self.surest.unwrap_or(self.latest));
        let zone = match self.places.zones.get(&latest.zone) {
            Some(name) => format!("{name} ({})", latest.zone),
            None => latest.zone.to_string(),
        };
        writeln!(f, "{}  {}", self.reference, zone)?;
        writeln!(f, "{}.", sentence(&self.words(&latest.headline)))?;
        let surest = if self.surest.is_some() { "At its surest " } else { "" };
        let sure = format!("{:?}, {}", why.certainty(), odds(why.probability));
        writeln!(f, "{surest}{sure} ({} %).", percent(why.probability))?;
        writeln!(f, "Since {} on {}{}.", self.both_clocks(latest.from), self.day(latest.from), self.until(latest))?;
        let phase = match latest.phase {
            Phase::Opened | Phase::Revised => "It goes on",
            Phase::Closed => "It is over",
            Phase::Retracted => "It was taken back: it was not so",
        };
        writeln!(f, "{phase}; said {}, last at {}.", times(latest.revision), self.clock(latest.concluded_wall))
    }

    fn story(&self, f: &mut Formatter<'_>, why: &Situation) -> fmt::Result {
        writeln!(f, "\nWhat was seen")?;
        for fact in &why.facts {
            writeln!(f, "  {}", self.words(fact))?;
        }
        for subject in &why.subjects {
            for identity in &subject.identities {
                let value = self.masked(&identity.value);
                let sure = percent(identity.probability);
                writeln!(f, "  {}: {:?} {value}, {sure} % sure", subject.role.replace('.', ", "), identity.kind)?;
            }
        }
        writeln!(f, "What is made of it\n  {}", self.words(&why.assessment))?;
        let last = self.latest.facts.last().filter(|fact| !why.facts.contains(fact));
        if let Some(last) = last {
            writeln!(f, "  Since then: {}", self.words(last))?;
        }
        Ok(())
    }

    /// The sum: prior, terms, score.
    fn reasons(&self, f: &mut Formatter<'_>, why: &Situation) -> fmt::Result {
        match self.surest {
            Some(surest) => writeln!(f, "\nWhy, as of {}, when it was surest", self.clock(surest.concluded_wall))?,
            None => writeln!(f, "\nWhy")?,
        }
        writeln!(
            f,
            "  Numbers are log-odds: 0 is as likely as not, +3 is 95 %, -3 is 5 %. Each line moves the sum by its number."
        )?;
        writeln!(f, "  {:>6.2}  before anything is heard: {}", why.prior, one_in(logistic(why.prior)))?;
        let terms = terms(why);
        let part = |f: &mut Formatter<'_>, title: &str, which: &dyn Fn(&Term<'_>) -> bool| -> fmt::Result {
            let mut chosen: Vec<&Term<'_>> = terms.iter().filter(|term| which(term)).collect();
            chosen.sort_by(|a, b| b.weight().abs().total_cmp(&a.weight().abs()));
            if chosen.is_empty() {
                return Ok(());
            }
            writeln!(f, "  {title}")?;
            chosen.into_iter().try_for_each(|term| self.term(f, term, why))
        };
        part(f, "for it", &|term| !term.is_silence() && term.weight() >= 0.0)?;
        part(f, "against it", &|term| !term.is_silence() && term.weight() < 0.0)?;
        part(f, "silent, though it could have spoken", &|term| term.is_silence())?;
        let calibrated = why.calibration != Calibration::Identity;
        let taken = if calibrated { logistic(why.log_odds) } else { why.probability };
        writeln!(f, "  {:>6.2}  together: {} %", why.log_odds, percent(taken))?;
        if calibrated {
            let (name, p) = (why.calibration.name(), percent(why.probability));
            writeln!(f, "          such scores of {} have turned out true in {p} % ({name})", why.kind)?;
        }
        Ok(())
    }

    fn term(&self, f: &mut Formatter<'_>, term: &Term<'_>, why: &Situation) -> fmt::Result {
        match term {
            Term::One(piece) => writeln!(f, "  {:>+6.2}  {}", piece.weight, self.piece(piece)),
            Term::Capped(group) => {
                let (after, before) = (group.after, group.before);
                writeln!(
                    f,
                    "  {after:>+6.2}  {} as one, cut from {before:+.2}: what fails together proves no more",
                    group.domain
                )?;
                let members = group.members.iter().filter_map(|index| why.evidence.get(*index as usize));
                for member in members {
                    let silent = if member.side == Side::Absent { ", by its silence" } else { "" };
                    writeln!(f, "            {:>+6.2}  {}{silent}", member.weight, self.piece(member))?;
                }
                Ok(())
            }
        }
    }

    fn piece(&self, piece: &Evidence) -> String {
        let records: Vec<String> = piece.positions.iter().map(|position| position.0.to_string()).collect();
        let records = match records.len() {
            0 => String::new(),
            1 => format!("  [record {}]", records.join("")),
            _ => format!("  [records {}]", records.join(", ")),
        };
        format!("{}: {}{records}", piece.sensor, self.words(&piece.said))
    }

    fn unasked(&self, f: &mut Formatter<'_>, why: &Situation) -> fmt::Result {
        if why.missing.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nNot heard: what it would have said is unknown")?;
        for missing in &why.missing {
            let since = missing.since.map(|since| format!(" since {}", self.clock(since))).unwrap_or_default();
            writeln!(f, "  {}: {}{since}", missing.sensor, reason(missing.why))?;
        }
        Ok(())
    }

    fn others(&self, f: &mut Formatter<'_>, why: &Situation) -> fmt::Result {
        if why.alternatives.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nWhat else it could be")?;
        for alternative in &why.alternatives {
            writeln!(f, "  {:>4} %  {}", percent(alternative.probability), self.words(&alternative.text))?;
        }
        Ok(())
    }

    fn sources(&self, f: &mut Formatter<'_>, why: &Situation) -> fmt::Result {
        writeln!(f, "\nThe sensors it looked at")?;
        let well: Vec<&str> = why
            .sources
            .iter()
            .filter(|source| source.state == SourceState::Healthy)
            .map(|source| source.sensor.as_str())
            .collect();
        if !well.is_empty() {
            writeln!(f, "  well: {}", well.join(", "))?;
        }
        // Those that were missed are said above.
        let missed = |sensor: &SensorId| why.missing.iter().any(|missing| missing.sensor == *sensor);
        for source in why.sources.iter().filter(|source| !missed(&source.sensor)) {
            match source.state {
                SourceState::Healthy => {}
                SourceState::NeverHeard => writeln!(f, "  {}: never heard", source.sensor)?,
                SourceState::Unhealthy { why, since } => {
                    writeln!(f, "  {}: {} since {}", source.sensor, reason(why), self.clock(since))?;
                }
            }
        }
        let mut conditions = vec![if why.conditions.night { "night".to_owned() } else { "day".to_owned() }];
        conditions.extend(why.conditions.wind.map(|wind| format!("wind {wind:.0} m/s")));
        conditions.extend(why.conditions.rain.map(|rain| format!("rain {rain:.1} mm/h")));
        writeln!(f, "  conditions: {}", conditions.join(", "))
    }

    fn foot(&self, f: &mut Formatter<'_>, why: &Situation) -> fmt::Result {
        let clock = match why.clock.gateway {
            ClockState::Synchronised => format!("to {} ms", why.clock.uncertainty_ms),
            state => format!("only {state:?}, perhaps {} ms off", why.clock.uncertainty_ms).to_lowercase(),
        };
        writeln!(f, "\n{} with rates and calibration {}; the gateway's clock was right {clock};", why.rule, why.model)?;
        writeln!(f, "security level {}, {:?}, {}", why.security_level, why.status, why.id)
    }

    fn until(&self, situation: &Situation) -> String {
        situation.until.map(|until| format!(" until {}", self.clock(until))).unwrap_or_default()
    }

    /// The site's local time; UTC where that is not known.
    fn clock(&self, at: WallTime) -> String {
        match self.local(at) {
            Some(local) => local.strftime("%H:%M:%S").to_string(),
            None => utc(at),
        }
    }

    /// The site's local time, and UTC, which logs have.
    fn both_clocks(&self, at: WallTime) -> String {
        match self.local(at) {
            Some(local) => format!("{} local ({})", local.strftime("%H:%M:%S"), utc(at)),
            None => utc(at),
        }
    }

    fn day(&self, at: WallTime) -> String {
        let day = "%A %-d %B %Y";
        let local = self.local(at).map(|local| local.strftime(day).to_string());
        local.or_else(|| timestamp(at).map(|utc| utc.strftime(day).to_string())).unwrap_or_else(|| "?".into())
    }

    fn local(&self, at: WallTime) -> Option<jiff::Zoned> {
        let zone = jiff::tz::TimeZone::get(&self.places.timezone).ok()?;
        Some(timestamp(at)?.to_zoned(zone))
    }

    fn words(&self, phrase: &Phrase) -> String {
        let mut out = String::new();
        self.add(&mut out, &phrase.0);
        out
    }

    fn add(&self, out: &mut String, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Words(text) => out.push_str(text),
                Part::Time(at) => out.push_str(&self.clock(*at)),
                Part::Value { value, .. } => out.push_str(&self.masked(value)),
                Part::Detail { parts, .. } => self.add(out, parts),
            }
        }
    }

    fn masked(&self, value: &Private) -> String {
        match value.as_clear() {
            Some(clear) => quaywatch_sharing::mask(clear),
            None => match value.key().and_then(self.deleted) {
                Some(at) => format!("[deleted {}]", date(at)),
                None => "[deleted]".into(),
            },
        }
    }
}

/// Every piece of evidence that counts alone, and every capped group once.
fn terms(situation: &Situation) -> Vec<Term<'_>> {
    let grouped = |index: u32| situation.groups.iter().any(|group| group.members.contains(&index));
    let alone = situation.evidence.iter().zip(0u32..).filter(|(_, index)| !grouped(*index));
    let alone = alone.map(|(piece, _)| Term::One(piece));
    alone.chain(situation.groups.iter().map(Term::Capped)).collect()
}

/// A probability as people say it.
fn odds(p: f64) -> String {
    match p {
        p if p >= 0.99 => "more than 99 in 100".into(),
        p if p >= 0.945 => "about 19 in 20".into(),
        p if p < 0.01 => "less than 1 in 100".into(),
        p if p < 0.055 => "about 1 in 20".into(),
        p if (0.45..0.55).contains(&p) => "as likely as not".into(),
        p => format!("about {:.0} in 10", 10.0 * p),
    }
}

fn one_in(p: f64) -> String {
    match p {
        p if p >= 0.4 => format!("{} % of such cases are so", percent(p)),
        p => format!("one in {:.0} such cases is so", 1.0 / p.max(1e-9)),
    }
}

/// Whole percents, and a digit more where a whole one would hide the difference to never or always, which nothing is.
fn percent(p: f64) -> String {
    match 100.0 * p {
        percent if percent > 99.9 => "over 99.9".into(),
        percent if percent > 0.0 && percent < 0.1 => "under 0.1".into(),
        percent if (1.0..=99.0).contains(&percent) => format!("{percent:.0}"),
        percent => format!("{percent:.1}"),
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".into(),
        2 => "twice".into(),
        more => format!("{more} times"),
    }
}

fn reason(why: NoData) -> String {
    match why {
        NoData::Silent => "silent".into(),
        NoData::Disconnected => "its line is down".into(),
        NoData::Timeout => "did not answer in time".into(),
        NoData::Exception(code) => format!("answered with exception {code}"),
        NoData::BadValue => "said what cannot be".into(),
        NoData::Overload(lost) => format!("{lost} values were let go"),
        NoData::Tampered => "tampered with".into(),
        NoData::Maintenance => "out of service".into(),
        NoData::Blind => "its view is covered".into(),
        NoData::Faulty => "says that it is broken".into(),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The day of a moment, UTC.
pub(super) fn date(at: WallTime) -> String {
    timestamp(at).map_or_else(|| "?".into(), |at| at.strftime("%Y-%m-%d").to_string())
}

fn utc(at: WallTime) -> String {
    timestamp(at).map_or_else(|| "?".into(), |at| at.strftime("%H:%M:%S UTC").to_string())
}

fn timestamp(at: WallTime) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::fictional;
    use quaywatch_schemas::{
        FieldClass,
        sealed::Sealed,
        situation::{Conditions, Source, capped_groups, score},
    };

    const NEVER: &dyn Fn(KeyId) -> Option<WallTime> = &|_| None;

    fn places() -> Places {
        let site = fictional::site();
        let zones = site.zones.iter().map(|(id, zone)| (id.clone(), zone.name.clone())).collect();
        Places { timezone: site.timezone, zones }
    }

    fn page(latest: &Situation, surest: Option<&Situation>, deleted: &dyn Fn(KeyId) -> Option<WallTime>) -> String {
        Page { reference: "QW-G2-QPE9YC", latest, surest, places: &places(), deleted }.to_string()
    }

    /// Every number of the section, added up by hand as a reader would.
    fn sum(text: &str) -> f64 {
        let why = text.split("\nWhy").nth(1).unwrap().split("  together:").next().unwrap();
        let terms = why.lines().filter_map(|line| line.get(2..8)?.trim().parse::<f64>().ok());
        let all: Vec<f64> = terms.collect();
        let (last, terms) = all.split_last().unwrap();
        assert!((terms.iter().sum::<f64>() - last).abs() < 0.05, "{text}");
        *last
    }

    #[test]
    fn a_reader_can_add_the_terms_up_and_a_capped_group_is_one_of_them() {
        let mut situation = fictional::tailgating();
        assert!((sum(&page(&situation, None, NEVER)) - situation.log_odds).abs() < 0.01);
        situation.evidence[1].weight = 4.1;
        situation.evidence[2].weight = -1.7;
        situation.groups = capped_groups(&situation.evidence);
        situation.log_odds = score(situation.prior, &situation.evidence);
        situation.probability = logistic(situation.log_odds);
        let text = page(&situation, None, NEVER);
        assert!((sum(&text) - (situation.prior + 6.0 - 1.7)).abs() < 0.01, "{text}");
        for line in [
            "   +6.00  plc as one, cut from +7.50: what fails together proves no more\n",
            "             +3.40  loop-b: 2 vehicles, 3.2 s apart  [record 101]\n",
            "             +4.10  arm: open throughout  [record 97]\n",
            "  against it\n   -1.70  rear: 2 different plates  [record 104]\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }

    #[test]
    fn it_says_how_sure_in_words_who_was_not_heard_and_hides_plates() {
        let text = page(&fictional::tailgating(), None, NEVER);
        for words in [
            "QW-G2-QPE9YC  Gate 2, lane 3, inbound (lane-3)\nA second truck passed on one grant.\n",
            "Likely, about 9 in 10 (91 %).\nSince 03:12:04 local (02:12:04 UTC) on Saturday 14 March 2026.\n",
            "It goes on; said twice, last at 03:12:19.",
            "vehicle, following: Plate 7-••••-09, 88 % sure",
            "front: silent since 02:57:58",
            "one in 50 such cases is so",
            "     7 %  one long combination counted twice",
            "  well: arm, loop-b, rear\n  conditions: night\n",
            "gate.tailgating@1.0 with rates and calibration 9b1e",
        ] {
            assert!(text.contains(words), "{words:?} in\n{text}");
        }
        assert!(!text.contains("KLB") && !text.contains("BRV"), "{text}");
    }

    #[test]
    fn nothing_is_promised_for_certain() {
        for (p, said, odd) in [
            (0.99999, "over 99.9", "more than 99 in 100"),
            (0.995, "99.5", "more than 99 in 100"),
            (0.95, "95", "about 19 in 20"),
            (0.5, "50", "as likely as not"),
            (0.03, "3", "about 1 in 20"),
            (0.00001, "under 0.1", "less than 1 in 100"),
        ] {
            assert_eq!((percent(p).as_str(), odds(p).as_str()), (said, odd));
        }
    }

    #[test]
    fn a_closed_situation_is_explained_by_what_it_rested_on_when_it_was_surest() {
        let surest = fictional::tailgating();
        let mut over = surest.clone();
        over.phase = Phase::Closed;
        over.revision = 3;
        over.until = Some(surest.concluded_wall);
        over.evidence.truncate(1);
        over.log_odds = score(over.prior, &over.evidence);
        over.probability = logistic(over.log_odds);
        over.facts.push(Phrase::words("The lane is empty."));
        let text = page(&over, Some(&surest), NEVER);
        for words in [
            "At its surest Likely, about 9 in 10",
            "It is over; said 3 times",
            "+1.70  rear",
            "Since then: The lane is empty.",
        ] {
            assert!(text.contains(words), "{words:?} in\n{text}");
        }
    }

    #[test]
    fn silence_a_calibration_and_bad_conditions_are_said() {
        let mut situation = fictional::tailgating();
        situation.evidence[1].side = Side::Absent;
        situation.evidence[1].weight = -0.35;
        situation.log_odds = score(situation.prior, &situation.evidence);
        situation.calibration = Calibration::Platt { slope: 0.5, offset: 0.0 };
        situation.probability = situation.calibration.probability(situation.log_odds);
        situation.conditions = Conditions { night: false, wind: Some(14.2), rain: Some(3.25) };
        let state = SourceState::Unhealthy { why: NoData::Blind, since: situation.from };
        situation.sources.push(Source { sensor: SensorId::new("dome").unwrap(), state });
        let text = page(&situation, None, NEVER);
        for words in [
            "  silent, though it could have spoken\n   -0.35  arm: open throughout",
            "such scores of gate.tailgating have turned out true in 61 % (platt)",
            "conditions: day, wind 14 m/s, rain 3.2 mm/h",
            "dome: its view is covered since 03:12:04",
        ] {
            assert!(text.contains(words), "{words:?} in\n{text}");
        }
    }

    #[test]
    fn a_value_whose_key_is_gone_is_deleted_since_a_date() {
        let mut situation = fictional::tailgating();
        let value = &mut situation.subjects[1].identities[0].value;
        value.seal_with(|clear| Sealed::seal(clear, FieldClass::QuasiIdentity, KeyId(7), &[1; 32], [2; 12]));
        let destroyed = |key: KeyId| (key == KeyId(7)).then_some(situation.from);
        let text = page(&situation, None, &destroyed);
        assert!(text.contains("vehicle, following: Plate [deleted 2026-03-14], 88 % sure"), "{text}");
        assert!(page(&situation, None, NEVER).contains("Plate [deleted], 88 % sure"));
    }
}
