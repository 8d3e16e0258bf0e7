//! The patterns of a site, resolved: which runs where, and who hears whom. Made anew whenever a site takes effect; not part
//! of a snapshot.

use super::automaton::{FIRST_EXPECT, Plan};
use crate::{
    guard::{BadGuard, Guard, Guards},
    index::Index,
    tracks::geometry::Polygon,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use quaywatch_schemas::{
    DomainId, PatternId, SensorId, Site, ZoneId,
    observation::ObjectClass,
    policy::KindPattern,
    site::{
        Pattern,
        patterns::{NearTo, Says, Shape, Source},
    },
};

/// All patterns of a site.
#[derive(Default)]
pub(crate) struct Compiled {
    pub(super) patterns: Vec<Compilation>,
    /// By pattern, then by zone.
    pub(super) places: Vec<Where>,
    /// By sensor: the places that hear it, and which of their sensors it is.
    pub(super) by_sensor: Vec<Vec<(u32, u16)>>,
    /// By sensor: the number of its failure domain.
    pub(super) domains: Vec<u16>,
    /// By zone: the places that hear what is followed there.
    pub(super) following: Vec<Vec<u32>>,
    /// By zone: the places that hear what the gateway says there.
    pub(super) by_zone: Vec<Vec<u32>>,
}

/// One pattern.
pub(super) struct Compilation {
    pub(super) id: PatternId,
    pub(super) kind: String,
    /// Names the pattern's text: the same name and another text is another version.
    pub(super) version: String,
    pub(super) plan: Plan,
    pub(super) guard: Option<Result<Box<dyn Guard>, BadGuard>>,
}

/// One pattern in one zone.
pub(super) struct Where {
    pub(super) pattern: usize,
    pub(super) zone: u32,
    /// Its sensors, in name order.
    pub(super) sensors: Vec<Heard>,
    /// Slots that hear what the gateway says, and of which kinds.
    pub(super) said: Vec<(u8, KindPattern)>,
    /// Slots that hear what is followed.
    pub(super) tracks: Vec<Watched>,
}

/// What one slot waits for of what is followed.
pub(super) struct Watched {
    pub(super) slot: u8,
    pub(super) class: Option<ObjectClass>,
    pub(super) near: Option<Near>,
}

/// What something is near to.
pub(super) enum Near {
    Zone(Polygon),
    Track(Option<ObjectClass>),
}

/// A sensor of a place.
pub(super) struct Heard {
    pub(super) id: SensorId,
    pub(super) number: usize,
    pub(super) domain: u16,
    /// The slots it is something to.
    pub(super) slots: u32,
}

impl Compiled {
    pub(crate) fn of(site: &Site, index: &Index, guards: &dyn Guards) -> Self {
        let domains: BTreeSet<&DomainId> = site.sensors.values().map(|sensor| &sensor.domain).collect();
        let domains: BTreeMap<&DomainId, u16> = domains.into_iter().zip(0..).collect();
        let number_of = |domain| domains.get(domain).copied().unwrap_or(0);
        let mut compiled = Self {
            by_sensor: site.sensors.keys().map(|_| Vec::new()).collect(),
            by_zone: site.zones.keys().map(|_| Vec::new()).collect(),
            following: site.zones.keys().map(|_| Vec::new()).collect(),
            domains: site.sensors.values().map(|sensor| number_of(&sensor.domain)).collect(),
            ..Self::default()
        };
        for (id, pattern) in &site.patterns {
            let number = compiled.patterns.len();
            for zone in zones_of(pattern, site) {
                let Some(zone) = index.zone(zone) else { continue };
                compiled.add(number, zone, pattern, site, index);
            }
            compiled.patterns.push(Compilation {
                kind: id.kind(),
                version: version_of(pattern),
                plan: Plan::of(pattern),
                guard: pattern.guard.as_ref().map(|text| guards.compile(text)),
                id: id.clone(),
            });
        }
        compiled
    }

    fn add(&mut self, pattern_number: usize, zone: u32, pattern: &Pattern, site: &Site, index: &Index) {
        let Some(zone_id) = index.zone_name(zone) else { return };
        let place = self.places.len() as u32;
        let mut slots: BTreeMap<&SensorId, u32> = BTreeMap::new();
        let (mut said, mut tracks) = (Vec::new(), Vec::new());
        for (slot, source) in slots_of(pattern) {
            match source {
                Source::Situation(kind) => said.push((slot, KindPattern(kind.clone()))),
                Source::Track { class, near } => {
                    let near = match near {
                        Some(NearTo::Zone(zone)) => {
                            // A zone without an outline is near to nothing: the site file cannot say so, a test may.
                            let outline = site.zones.get(zone).and_then(|zone| Polygon::new(&zone.outline));
                            let Some(outline) = outline else { continue };
                            Some(Near::Zone(outline))
                        }
                        Some(NearTo::Track(class)) => Some(Near::Track(*class)),
                        None => None,
                    };
                    tracks.push(Watched { slot, class: *class, near });
                }
                _ => {
                    for sensor in sensors_of(source, zone_id, site) {
                        *slots.entry(sensor).or_default() |= 1 << slot;
                    }
                }
            }
        }
        let sensors: Vec<Heard> = slots
            .into_iter()
            .take(usize::from(super::event::FOLLOWED))
            .filter_map(|(id, slots)| {
                let number = index.sensor(id)?;
                let domain = self.domains.get(number).copied().unwrap_or(0);
                Some(Heard { id: id.clone(), number, domain, slots })
            })
            .collect();
        for (heard, local) in sensors.iter().zip(0..) {
            if let Some(places) = self.by_sensor.get_mut(heard.number) {
                places.push((place, local));
            }
        }
        if let Some(places) = self.by_zone.get_mut(zone as usize).filter(|_| !said.is_empty()) {
            places.push(place);
        }
        if let Some(places) = self.following.get_mut(zone as usize).filter(|_| !tracks.is_empty()) {
            places.push(place);
        }
        self.places.push(Where { pattern: pattern_number, zone, sensors, said, tracks });
    }
}

/// Where a pattern runs: the zones it names, or every one that has a sensor for each step that must be seen.
pub fn zones_of<'a>(pattern: &'a Pattern, site: &'a Site) -> Vec<&'a ZoneId> {
    if !pattern.zones.is_empty() {
        return site.zones.keys().filter(|zone| pattern.zones.contains(zone)).collect();
    }
    let needed = |zone: &&ZoneId| {
        let own = |source: &Source| match source {
            Source::Role { zone: None, .. } => true,
            Source::Sensor(id) => site.sensors.get(id).is_some_and(|sensor| sensor.zone == **zone),
            Source::Role { zone: Some(elsewhere), .. } => elsewhere == *zone,
            Source::Situation(_) | Source::Track { .. } => true,
        };
        let (mut here, mut heard) = (false, 0);
        for (_, step) in pattern.required() {
            let found = match &step.on {
                Source::Situation(_) => true,
                Source::Track { .. } => site.zones.get(*zone).is_some_and(|zone| zone.outline.len() >= 3),
                sensors => sensors_of(sensors, zone, site).next().is_some(),
            };
            heard += usize::from(found);
            here |= found && own(&step.on);
        }
        let all = pattern.required().count();
        let enough = match pattern.shape {
            Shape::Seq => heard == all,
            Shape::Of { least, independent: false } => heard >= usize::from(least),
            Shape::Of { independent: true, .. } => heard > 0,
        };
        here && enough
    };
    site.zones.keys().filter(needed).collect()
}

/// Whether a pattern that runs in a zone asks for what is followed there.
pub(crate) fn follow(site: &Site, zone: &ZoneId) -> bool {
    let tracks = |pattern: &Pattern| pattern.sources().any(|(source, _)| matches!(source, Source::Track { .. }));
    site.patterns.values().any(|pattern| tracks(pattern) && zones_of(pattern, site).contains(&zone))
}

/// The sensors a source means, for a pattern that runs in a zone.
pub fn sensors_of<'a>(source: &'a Source, zone: &'a ZoneId, site: &'a Site) -> impl Iterator<Item = &'a SensorId> {
    site.sensors.iter().filter_map(move |(id, spec)| {
        let meant = match source {
            Source::Role { role, zone: elsewhere } => {
                spec.role == *role && spec.zone == *elsewhere.as_ref().unwrap_or(zone)
            }
            Source::Sensor(sensor) => sensor == id,
            Source::Situation(_) | Source::Track { .. } => false,
        };
        meant.then_some(id)
    })
}

/// Everything a pattern listens to, each with its slot.
fn slots_of(pattern: &Pattern) -> impl Iterator<Item = (u8, &Source)> {
    let steps = (0..).zip(pattern.steps.iter().map(|step| &step.on));
    steps.chain((FIRST_EXPECT..).zip(pattern.expect.iter().map(|expect| &expect.on)))
}

impl Plan {
    /// What a slot waits for.
    pub(super) fn says(&self, slot: u8) -> Option<Says> {
        match slot.checked_sub(FIRST_EXPECT) {
            Some(expect) => self.pattern.expect.get(usize::from(expect)).map(|expect| expect.says),
            None => self.pattern.steps.get(usize::from(slot)).map(|step| step.says),
        }
    }
}

fn version_of(pattern: &Pattern) -> String {
    let bytes = postcard::to_allocvec(pattern).unwrap_or_default();
    let hash = blake3::hash(&bytes);
    format!("{:02x}{:02x}{:02x}", hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2])
}
