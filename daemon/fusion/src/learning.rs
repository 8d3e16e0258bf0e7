//! What verdicts and passages say about sensors and scores: counted, proposed, and put in force by a person only.
//!
//! **Labels.** A verdict is the label of what it answers: the surest revision of its situation, because that is what people were
//! told. Labels say what scores mean ([`crate::calibration`]).
//!
//! **Rates.** What a sensor said is held against what is known *without* it: a verdict, or a score that stays beyond 0.95 or
//! 0.05 when the sensor's own terms are taken out of it. Otherwise a sensor that always agrees with itself would prove itself
//! right. Counts are kept apart by day and night and lose half of themselves in a week, so that a camera that was cleaned is
//! believed again. The site file's rates count as twenty observations: few counts move little.
//!
//! Nothing here changes a conclusion. [`Learner::propose`] puts a [`Model`] together; [`quaywatch_schemas::Control::RatesAdopted`]
//! puts one in force.

use crate::{
    calibration::{self, PLATT_FROM, Scored, brier, expected_error, rounded},
    evidence::logit,
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    string::{String, ToString},
    vec::Vec,
};
use quaywatch_schemas::{
    Calibration, GatewayTime, Model, SensorId, Site, Situation,
    model::LearnedRates,
    product::Verdict,
    site::{Rates, Role},
    situation::{Evidence, Phase, Phrase, Side, SituationId, SourceState, score},
};
use serde::{Deserialize, Serialize};

/// Labels kept of each kind; at the bound the oldest goes.
pub const LABELS_PER_KIND: usize = 500;
/// Situations that go on and are remembered by their surest revision; at the bound the one said longest ago goes, and teaches
/// nothing by itself.
pub const OPEN_CLAIMS: usize = 256;

/// Everything that was learned and is not in force.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Learner {
    labels: BTreeMap<String, VecDeque<Label>>,
    /// By sensor, day and night. Sensors that the site file does not name any more go when a proposal is made of the rest.
    counts: BTreeMap<SensorId, [Counts; 2]>,
    open: BTreeMap<SituationId, Claim>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Label {
    id: SituationId,
    log_odds: f64,
    /// As it was said, calibrated with what was in force then.
    probability: f64,
    so: bool,
    at: GatewayTime,
}

/// How often a sensor was right, decayed to `at`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Counts {
    at: GatewayTime,
    seen: f64,
    missed: f64,
    wrong: f64,
    quiet: f64,
}

/// What of a situation is needed to learn from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Claim {
    kind: String,
    prior: f64,
    log_odds: f64,
    calibration: Calibration,
    evidence: Vec<Evidence>,
    /// Sensors that it looked at, that could have spoken and did not.
    silent: Vec<SensorId>,
    night: bool,
    concluded: GatewayTime,
}

/// How a sensor's word stood to what is known without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Seen,
    Missed,
    Wrong,
    Quiet,
}

/// What could be put in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its name, as situations would have it.
    pub id: String,
    /// What would hold.
    pub model: Model,
    /// By sensor and light: what was counted and what comes of it.
    pub sensors: Vec<SensorLearned>,
    /// By kind: the verdicts and what comes of them.
    pub kinds: Vec<KindLearned>,
}

/// What was learned of a sensor in one kind of light.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorLearned {
    /// Which.
    pub sensor: SensorId,
    /// By night, or by day.
    pub night: bool,
    /// Times it reported what was there, of times it should have; decayed, so not whole.
    pub seen: (f64, f64),
    /// Times it reported what was not there, of times it could have.
    pub wrong: (f64, f64),
    /// What holds now.
    pub in_force: Rates,
    /// What is proposed; `None` while too little was counted, or it would change next to nothing.
    pub proposed: Option<Rates>,
}

/// What was learned of the scores of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct KindLearned {
    /// Which.
    pub kind: String,
    /// Verdicts, and how many of them were *so*.
    pub labels: (usize, usize),
    /// Brier score and expected calibration error of what was said.
    pub said: (f64, f64),
    /// The same, on the same verdicts, with what is proposed.
    pub with_it: (f64, f64),
    /// What holds now.
    pub in_force: Calibration,
    /// What is proposed; `None` while there are too few verdicts, or it is what holds.
    pub proposed: Option<Calibration>,
}

/// Counts lose half of themselves in a week.
const HALF_LIFE_NS: f64 = 7.0 * 86_400e9;
/// What the site file says counts as so many observations.
const FILE_COUNTS: f64 = 20.0;
/// Fewer observations than this propose nothing.
const LEAST_COUNTED: f64 = 10.0;
/// A change of less than this in log-odds is none.
const WORTH_PROPOSING: f64 = 0.1;
/// Beyond these a situation is decided.
const DECIDED: (f64, f64) = (0.05, 0.95);
/// No sensor is taken to be perfect.
const RATE_BOUNDS: (f64, f64) = (0.0005, 0.9995);

impl Learner {
    /// Takes in a situation as it is put out. What ends without having been taken back teaches about the sensors that it was
    /// decided without.
    pub fn take(&mut self, situation: &Situation, site: &Site) {
        if roles(&situation.kind).is_empty() {
            return;
        }
        let claim = Claim::of(situation, site);
        let surest = match self.open.remove(&situation.id) {
            Some(before) if before.log_odds > claim.log_odds => before,
            _ => claim,
        };
        match situation.phase {
            Phase::Opened | Phase::Revised => {
                if self.open.len() >= OPEN_CLAIMS {
                    let oldest = self.open.iter().min_by_key(|(id, claim)| (claim.concluded, **id)).map(|(id, _)| *id);
                    oldest.and_then(|id| self.open.remove(&id));
                }
                self.open.insert(situation.id, surest);
            }
            Phase::Closed => self.count(&surest, None, site, situation.concluded, 1.0),
            Phase::Retracted => {}
        }
    }

    /// Takes in a verdict on a situation: `surest` is the revision it judges, `ended` when it closed, if it has. The last
    /// verdict on a situation holds. *Unknown* says nothing.
    pub fn verdict(
        &mut self,
        surest: &Situation,
        ended: Option<GatewayTime>,
        verdict: Verdict,
        site: &Site,
        now: GatewayTime,
    ) {
        let so = match verdict {
            Verdict::True | Verdict::Harmless => true,
            Verdict::False => false,
            Verdict::Unknown => return,
        };
        let labels = self.labels.entry(surest.kind.clone()).or_default();
        let before = labels.iter().position(|label| label.id == surest.id).and_then(|index| labels.remove(index));
        if labels.len() >= LABELS_PER_KIND {
            labels.pop_front();
        }
        let (log_odds, probability) = (surest.log_odds, surest.probability);
        labels.push_back(Label { id: surest.id, log_odds, probability, so, at: now });
        // What was counted without this verdict is taken back, as far as it has not faded.
        let claim = Claim::of(surest, site);
        match (before, ended) {
            (Some(before), _) => self.count(&claim, Some(before.so), site, now, -faded(before.at, now)),
            (None, Some(ended)) => self.count(&claim, None, site, now, -faded(ended, now)),
            (None, None) => drop(self.open.remove(&surest.id)),
        }
        self.count(&claim, Some(so), site, now, 1.0);
    }

    /// Verdicts, Brier score and expected calibration error of what was said, by kind.
    pub fn quality(&self) -> impl Iterator<Item = (&str, usize, f64, f64)> {
        self.labels.iter().filter_map(|(kind, labels)| {
            let said = || labels.iter().map(|label| (label.probability, label.so));
            Some((kind.as_str(), labels.len(), brier(said())?, expected_error(said())?))
        })
    }

    /// What could be put in force instead of `adopted`.
    pub fn propose(&self, site: &Site, adopted: &Model, now: GatewayTime) -> Proposal {
        let mut model = adopted.clone();
        model
            .rates
            .retain(|sensor, learned| site.sensors.get(sensor).is_some_and(|spec| spec.rates == learned.instead_of));
        let mut sensors = Vec::new();
        for (sensor, spec) in &site.sensors {
            let Some(counts) = self.counts.get(sensor) else { continue };
            for (night, counts) in [false, true].into_iter().zip(counts) {
                let counts = counts.at(now);
                let held = model.rates.get(sensor).and_then(|learned| learned.of(night)).unwrap_or(spec.rates);
                let learned = counts.learned(sensor, night, spec.rates, held);
                if let Some(proposed) = learned.proposed {
                    let none = LearnedRates { instead_of: spec.rates, day: None, night: None };
                    let rates = model.rates.entry(sensor.clone()).or_insert(none);
                    *(if night { &mut rates.night } else { &mut rates.day }) = Some(proposed);
                }
                if learned.seen.1 >= 0.5 || learned.wrong.1 >= 0.5 {
                    sensors.push(learned);
                }
            }
        }
        let mut kinds = Vec::new();
        for (kind, labels) in &self.labels {
            let Some(learned) = learned_of(kind, labels, adopted) else { continue };
            if let Some(proposed) = &learned.proposed {
                model.calibration.insert(kind.clone(), proposed.clone());
            }
            kinds.push(learned);
        }
        Proposal { id: model_id(site, &model), model, sensors, kinds }
    }

    /// Counts what each sensor of a claim said, against a verdict or against the rest of the claim.
    fn count(&mut self, claim: &Claim, verdict: Option<bool>, site: &Site, now: GatewayTime, by: f64) {
        for (sensor, held) in claim.held(verdict) {
            if !site.sensors.contains_key(&sensor) {
                continue;
            }
            let counts = &mut self.counts.entry(sensor).or_default()[usize::from(claim.night)];
            *counts = counts.at(now);
            let count = match held {
                Held::Seen => &mut counts.seen,
                Held::Missed => &mut counts.missed,
                Held::Wrong => &mut counts.wrong,
                Held::Quiet => &mut counts.quiet,
            };
            *count = (*count + by).max(0.0);
        }
        // A sensor that left the site file goes with its counts.
        self.counts.retain(|sensor, _| site.sensors.contains_key(sensor));
    }
}

impl Proposal {
    /// Whether it would change anything.
    pub fn is_news(&self, adopted: &Model) -> bool {
        self.model != *adopted
    }
}

impl Claim {
    fn of(situation: &Situation, site: &Site) -> Self {
        let roles = roles(&situation.kind);
        let bears = |sensor: &SensorId| site.sensors.get(sensor).is_some_and(|spec| roles.contains(&spec.role));
        let spoke = |sensor: &SensorId| situation.evidence.iter().any(|piece| piece.sensor == *sensor);
        let silent = situation.sources.iter().filter(|source| source.state == SourceState::Healthy);
        let silent = silent.map(|source| &source.sensor).filter(|sensor| bears(sensor) && !spoke(sensor));
        // Words and positions are not needed, and may hold what must not be kept longer than its key.
        let bare = |piece: &Evidence| Evidence { said: Phrase::default(), positions: Vec::new(), ..piece.clone() };
        Self {
            kind: situation.kind.clone(),
            prior: situation.prior,
            log_odds: situation.log_odds,
            calibration: situation.calibration.clone(),
            evidence: if roles.is_empty() { Vec::new() } else { situation.evidence.iter().map(bare).collect() },
            silent: if sees_all(&situation.kind) { silent.cloned().collect() } else { Vec::new() },
            night: situation.conditions.night,
            concluded: situation.concluded,
        }
    }

    /// How each sensor's word stands to what is known without it, for those that something is known of.
    fn held(&self, verdict: Option<bool>) -> Vec<(SensorId, Held)> {
        let mut held: BTreeMap<&SensorId, Held> = BTreeMap::new();
        let mut hold = |sensor, spoke: bool| {
            let known = verdict.or_else(|| self.decided_without(sensor));
            let word = match (known, spoke) {
                (Some(true), true) => Held::Seen,
                (Some(true), false) => Held::Missed,
                (Some(false), true) => Held::Wrong,
                (Some(false), false) => Held::Quiet,
                (None, _) => return,
            };
            held.insert(sensor, word);
        };
        self.silent.iter().for_each(|sensor| hold(sensor, false));
        for piece in &self.evidence {
            match piece.side {
                // What speaks for it by being absent is no miss: it would have spoken of something else.
                Side::Absent if piece.weight >= 0.0 => {}
                Side::Absent | Side::Against => hold(&piece.sensor, false),
                Side::For => hold(&piece.sensor, piece.weight > 0.0),
            }
        }
        held.into_iter().map(|(sensor, held)| (sensor.clone(), held)).collect()
    }

    /// Whether it was so, as far as the others can tell. That something is rare decides nothing: against it others must speak.
    fn decided_without(&self, sensor: &SensorId) -> Option<bool> {
        let others: Vec<&Evidence> = self.evidence.iter().filter(|piece| piece.sensor != *sensor).collect();
        let log_odds = score(self.prior, &others);
        match self.calibration.probability(log_odds) {
            p if p > DECIDED.1 => Some(true),
            p if p < DECIDED.0 && log_odds < self.prior => Some(false),
            _ => None,
        }
    }
}

impl Counts {
    fn at(&self, now: GatewayTime) -> Self {
        let left = faded(self.at, now);
        Self {
            at: self.at.max(now),
            seen: self.seen * left,
            missed: self.missed * left,
            wrong: self.wrong * left,
            quiet: self.quiet * left,
        }
    }

    fn learned(&self, sensor: &SensorId, night: bool, file: Rates, in_force: Rates) -> SensorLearned {
        let (seen, wrong) = ((self.seen, self.seen + self.missed), (self.wrong, self.wrong + self.quiet));
        let detection = posterior(file.detection, seen, in_force.detection);
        let false_alarm = posterior(file.false_alarm, wrong, in_force.false_alarm);
        let proposed = (detection.is_some() || false_alarm.is_some()).then(|| Rates {
            detection: detection.unwrap_or(in_force.detection),
            false_alarm: false_alarm.unwrap_or(in_force.false_alarm),
        });
        SensorLearned { sensor: sensor.clone(), night, seen, wrong, in_force, proposed }
    }
}

/// The mean of a Beta distribution that begins at the file's rate; `None` if too little was counted, or nothing changes.
fn posterior(file: f64, (times, of): (f64, f64), in_force: f64) -> Option<f64> {
    let mean = (FILE_COUNTS * file + times) / (FILE_COUNTS + of);
    let rate = rounded(mean.clamp(RATE_BOUNDS.0, RATE_BOUNDS.1));
    let moved = libm::fabs(logit(rate) - logit(in_force));
    (of >= LEAST_COUNTED && moved >= WORTH_PROPOSING).then_some(rate)
}

fn learned_of(kind: &str, labels: &VecDeque<Label>, adopted: &Model) -> Option<KindLearned> {
    let in_force = adopted.calibration.get(kind).cloned().unwrap_or_default();
    let scored: Vec<Scored> = labels.iter().map(|label| Scored { log_odds: label.log_odds, so: label.so }).collect();
    let fitted = calibration::fit(&scored);
    let said = || labels.iter().map(|label| (label.probability, label.so));
    let with = || scored.iter().map(|it| (fitted.probability(it.log_odds), it.so));
    Some(KindLearned {
        kind: kind.to_string(),
        labels: (scored.len(), scored.iter().filter(|it| it.so).count()),
        said: (brier(said())?, expected_error(said())?),
        with_it: (brier(with())?, expected_error(with())?),
        proposed: (scored.len() >= PLATT_FROM && fitted != in_force).then(|| fitted.clone()),
        in_force,
    })
}

/// Roles whose word is about the same thing as situations of a kind: somebody or something is there. Of other kinds verdicts
/// teach what scores mean, not how good a sensor is: a wind sensor that speaks for a mooring's overload has detected nothing.
fn roles(kind: &str) -> &'static [Role] {
    use Role::*;
    match kind {
        "gate.passage" => &[LoopApproach, LoopExit, PlateFront, PlateRear, WeightGross],
        "quay.presence" => &[PresencePir, PresenceCamera, FenceVibration, Pedestrian],
        _ => &[],
    }
}

/// Whether every healthy sensor of those roles should have spoken of it: a vehicle passes all of a lane, a person on a quay
/// passes some of its sensors, and those that count their silence list it.
fn sees_all(kind: &str) -> bool {
    kind == "gate.passage"
}

fn faded(from: GatewayTime, now: GatewayTime) -> f64 {
    libm::pow(0.5, now.since(from).as_nanos() as f64 / HALF_LIFE_NS)
}

/// Names the rates and calibrations that conclusions are drawn with: those of the site file and those put in force.
pub fn model_id(site: &Site, adopted: &Model) -> String {
    let mut hasher = blake3::Hasher::new();
    for (id, sensor) in &site.sensors {
        hasher.update(id.as_str().as_bytes());
        hasher.update(&sensor.rates.detection.to_le_bytes());
        hasher.update(&sensor.rates.false_alarm.to_le_bytes());
    }
    if *adopted != Model::default() {
        hasher.update(&postcard::to_allocvec(adopted).expect("a model always serialises"));
    }
    hasher.finalize().to_hex().as_str().get(..4).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
