//! Staff at readers: in through the turnstile, here and there on the site, out again.

use super::{Day, Preset, What, reference::Person, reference::Reference};
use crate::world::random::Random;

/// Shares of people who do something they should not, one of these at most.
const PASSBACK: f64 = 0.085;
const IMPOSSIBLE: f64 = 0.045;
const OUT_OF_ZONE: f64 = 0.04;
const OUT_OF_HOURS: f64 = 0.036;
/// A reader does not see a badge, though the door opens.
const LOST: f64 = 0.0075;
/// Nobody is seen at the wrong place less than this before or after the right one, in seconds.
const TIME_TO_GO_THERE_S: f64 = 250.0;

pub(super) fn run(preset: &Preset, seed: u64, reference: &Reference, day: &mut Day) {
    let mut random = Random::of(seed, "trial people", 0);
    for (badge, person) in &reference.staff {
        let mut reads = ordinary(person, &mut random);
        if let Some((kind, at)) = misbehave(preset, person, &mut reads, &mut random) {
            day.anomaly(kind, badge, at, None);
        }
        for (at, reader) in reads {
            if !random.chance(LOST) {
                let what = What::Badge { badge: badge.clone(), reader: reader.to_owned() };
                day.say(at, format!("badge.{reader}"), what, None);
            }
        }
    }
}

type Read = (f64, &'static str);

fn ordinary(person: &Person, random: &mut Random) -> Vec<Read> {
    let [begins, ends] = person.shift;
    let came = begins + random.between(60.0, 600.0);
    let leaves = ends - random.between(60.0, 600.0);
    let mut reads = vec![(came, "pin")];
    let mut at = came + random.between(300.0, 1200.0);
    while at < leaves - 900.0 {
        reads.push((at, *random.pick(person.allowed())));
        at += random.between(1200.0, 4000.0);
    }
    reads.push((leaves, "pout"));
    reads
}

fn misbehave(
    preset: &Preset,
    person: &Person,
    reads: &mut Vec<Read>,
    random: &mut Random,
) -> Option<(&'static str, f64)> {
    let share = random.between(0.0, 1.0);
    let [begins, _] = person.shift;
    let shift = preset.shift_s();
    if share < PASSBACK {
        // Somebody else comes in with the badge.
        let at = reads[0].0 + random.between(25.0, 195.0);
        reads.push((at, "pin"));
        return Some(("passback", at));
    }
    if share < PASSBACK + IMPOSSIBLE {
        let at = begins + shift * random.between(0.15, 0.8);
        let later = at + random.between(3.0, 36.0);
        // Whoever may only enter one zone can read there twice in a row, and nothing is wrong.
        let far: Vec<&str> = person.allowed().iter().copied().filter(|reader| *reader != "yard").collect();
        let first = *random.pick(&far);
        let second = if person.allowed().contains(&"yard") { "yard" } else { first };
        reads.extend([(at, first), (later, second)]);
        return (first != second).then_some(("impossible_travel", later));
    }
    if share < PASSBACK + IMPOSSIBLE + OUT_OF_ZONE {
        let reader = *random.pick(&person.forbidden());
        let at = begins + shift * random.between(0.18, 0.86);
        if reads.iter().any(|(other, _)| (other - at).abs() < TIME_TO_GO_THERE_S) {
            return None;
        }
        reads.push((at, reader));
        return Some(("out_of_zone", at));
    }
    if share < PASSBACK + IMPOSSIBLE + OUT_OF_ZONE + OUT_OF_HOURS {
        let other = if begins == 0.0 { shift } else { 0.0 };
        let at = other + shift * random.between(0.2, 0.62);
        reads.push((at, person.allowed()[0]));
        return Some(("out_of_hours", at));
    }
    None
}
