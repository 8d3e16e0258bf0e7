//! Small craft: a vessel is seen near a quay and does not say who it is.
//!
//! Small craft need no transponder, so it is no offence: it is said where one comes near. That nothing was heard of it
//! counts only while a receiver was well; without one nobody can know, and nothing is said.

use super::{Here, Kind, Look, Rule, Seen, Stream};
use crate::{
    evidence::{Draft, Life, weight_of_absence},
    tracks::{Sighting, TrackChange, geometry::Polygon},
};
use alloc::{collections::BTreeMap, format, vec, vec::Vec};
use core::time::Duration;
use quaywatch_schemas::{
    FieldClass, GatewayTime, Position, SensorId, WallTime,
    observation::ObjectClass,
    site::{Role, ZoneKind, rules},
    situation::{Alternative, Phase, Phrase, Severity, Subject, Urgency},
};
use serde::{Deserialize, Serialize};

pub(super) const KIND: Kind = Kind {
    kind: "waterside.small-craft",
    version: "1.0",
    fits: |kind| matches!(kind, ZoneKind::Waterside | ZoneKind::Berth),
    mode: |site, zone| site.rules.small_craft.as_ref().filter(|rule| rule.runs_in(zone)).map(|rule| rule.mode),
    hears: |_| false,
    follows: &[Stream::Tracks],
};

/// Vessels without a name in one zone, by their track's. Bounded with the tracks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SmallCraft {
    craft: BTreeMap<u64, Craft>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Craft {
    since: WallTime,
    first: Position,
    /// Nearest it came, in metres, and to what.
    nearest: (f64, alloc::string::String),
    existence: f64,
    witnesses: Vec<(SensorId, Position)>,
    heard: GatewayTime,
    life: Life,
}

/// Probability before evidence that a vessel this near a quay has no transponder: most that come there do.
const PRIOR: f64 = 0.05;
/// On the water anything is a vessel that is not clearly something else.
const MAYBE_A_VESSEL: f64 = 0.2;
/// A track is not heard of for this long: nobody follows it any more.
const UNHEARD: Duration = Duration::from_secs(60);

impl Rule for SmallCraft {
    fn seen(&mut self, seen: &Seen<'_>, here: &mut Here<'_>) {
        let Seen::Track(event) = seen else { return };
        let track = &event.track;
        match event.change {
            TrackChange::Entered | TrackChange::Still => self.is_there(track, here),
            TrackChange::Left => self.end(track.number, here, Phase::Closed, "It has gone."),
            TrackChange::Lost => self.end(track.number, here, Phase::Closed, "It is no longer seen."),
        }
    }

    fn fire(&mut self, here: &mut Here<'_>) {
        let over = |craft: &Craft| craft.heard.after(UNHEARD) <= here.now;
        let unheard: Vec<u64> = self.craft.iter().filter(|(_, craft)| over(craft)).map(|(number, _)| *number).collect();
        for number in unheard {
            let why = "The sensors that followed it say nothing any more: whether it has gone is unknown.";
            self.end(number, here, Phase::Closed, why);
        }
    }

    fn next_due(&self, _: &Look<'_>) -> Option<GatewayTime> {
        self.craft.values().map(|craft| craft.heard.after(UNHEARD)).min()
    }

    fn stop(&mut self, here: &mut Here<'_>) {
        for (_, mut craft) in core::mem::take(&mut self.craft) {
            let draft = draft(here, &craft);
            craft.life.give_up(here, draft);
        }
    }
}

impl SmallCraft {
    fn is_there(&mut self, track: &Sighting, here: &mut Here<'_>) {
        if track.vessel.is_some() {
            self.end(track.number, here, Phase::Retracted, "It has said who it is.");
            return;
        }
        let settings = settings(here);
        let known = self.craft.contains_key(&track.number);
        let vessel = track.classes.iter().find(|(class, _)| *class == ObjectClass::Vessel).map_or(0.0, |(_, share)| *share);
        let answered_late = track.at < track.since.after(settings.answer_within);
        if !known && (answered_late || vessel < MAYBE_A_VESSEL || receivers(here, settings.answer_within).is_empty()) {
            return;
        }
        let Some(near) = nearest(here, track.place) else { return };
        let Some((_, position)) = track.witnesses.last().filter(|_| known || near.0 <= settings.nearer_than_m) else {
            return;
        };
        let craft = self.craft.entry(track.number).or_insert_with(|| Craft {
            since: track.since,
            first: *position,
            nearest: near.clone(),
            existence: track.existence,
            witnesses: Vec::new(),
            heard: here.now,
            life: Life::default(),
        });
        craft.heard = here.now;
        craft.existence = track.existence;
        if near.0 < craft.nearest.0 {
            craft.nearest = near;
        }
        let more = track.witnesses.iter().any(|(sensor, _)| craft.witnesses.iter().all(|(known, _)| known != sensor));
        if more {
            craft.witnesses.clone_from(&track.witnesses);
        }
        let draft = draft(here, craft);
        let (first, name) = (craft.first, format!("{}/{}", KIND.kind, track.number));
        craft.life.say_of(here, &name, first, draft);
    }

    fn end(&mut self, number: u64, here: &mut Here<'_>, phase: Phase, why: &'static str) {
        let Some(mut craft) = self.craft.remove(&number) else { return };
        let mut draft = draft(here, &craft);
        draft.until = Some(here.wall(craft.heard));
        if phase == Phase::Retracted {
            draft.withdraw(why, "It is a vessel that says who it is.");
        } else {
            draft.facts.push(Phrase::words(why));
            draft.actions.clear();
        }
        craft.life.end(here, phase, draft);
    }
}

fn draft(here: &Here<'_>, craft: &Craft) -> Draft {
    let settings = settings(here);
    let mut draft = Draft::new(
        Phrase::words("a vessel near the quay does not say who it is"),
        Phrase::words("A craft without a transponder, or with one that is off."),
        PRIOR,
        craft.since,
    );
    draft.severity = Severity::Moderate;
    draft.urgency = Urgency::Immediate;
    let weight = super::track_weight(craft.existence, PRIOR, craft.witnesses.len());
    for (sensor, position) in &craft.witnesses {
        draft.said(here, sensor, &[*position], Phrase::words("a vessel"), weight);
    }
    for sensor in receivers(here, settings.answer_within) {
        let Some(spec) = here.site.sensors.get(&sensor) else { continue };
        // Silence speaks for it: one that had a transponder would have been heard.
        let weight = -weight_of_absence(spec.rates.detection, spec.rates.false_alarm.min(0.5));
        draft.absent(here, &sensor, Phrase::words("nothing of it"), weight);
    }
    let (metres, place) = &craft.nearest;
    draft.facts = vec![
        Phrase::words("A vessel is seen at ")
            .then(here.zone.name.clone())
            .detail(FieldClass::Method, Phrase::words(" since ").at(craft.since))
            .then(format!(", as near as {metres:.0} m to {place}.")),
        Phrase::words("Nothing was heard of it on AIS."),
    ];
    draft.act(
        FieldClass::Public,
        Phrase::words("Call it on the port's working channel."),
        Phrase::words("Call it on the port's working channel; look from the quay; ask vessel traffic services."),
    );
    draft.subjects = vec![Subject { role: "vessel".into(), identities: Vec::new() }];
    let not = 1.0 - draft.probability();
    draft.alternatives = vec![
        Alternative { text: Phrase::words("a pilot boat or launch whose words were lost"), probability: 0.7 * not },
        Alternative { text: Phrase::words("a buoy or floating rubbish"), probability: 0.3 * not },
    ];
    draft.note_missing(here, &[Role::Radar, Role::PositionCamera, Role::Ais]);
    draft
}

/// The site's receivers that could have heard it all that time.
fn receivers(here: &Here<'_>, time: Duration) -> Vec<SensorId> {
    let from = GatewayTime(here.now.0.saturating_sub(time.as_nanos().min(u64::MAX as u128) as u64));
    let all = here.site.sensors.iter().filter(|(_, spec)| spec.role == Role::Ais);
    let well = all.filter(|(id, spec)| {
        here.sensors.get(id).is_some_and(|memory| memory.could_speak_since(spec, from, here.now))
    });
    well.map(|(id, _)| id.clone()).collect()
}

/// How far it is to the nearest quay or berth whose outline is known, and what that is called.
fn nearest(here: &Here<'_>, place: (f64, f64)) -> Option<(f64, alloc::string::String)> {
    let shore = here.site.zones.values().filter(|zone| matches!(zone.kind, ZoneKind::Quay | ZoneKind::Berth));
    let far = shore.filter_map(|zone| Some((Polygon::new(&zone.outline)?.distance(place), zone.name.clone())));
    far.min_by(|a, b| a.0.total_cmp(&b.0))
}

fn settings(here: &Here<'_>) -> rules::SmallCraft {
    here.site.rules.small_craft.as_ref().map(|rule| rule.settings.clone()).unwrap_or_default()
}
