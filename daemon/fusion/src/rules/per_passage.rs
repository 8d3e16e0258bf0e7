//! Situations that are about one passage: opened when it is first said, revised as late words change it, closed with it.

use super::Here;
use crate::{
    evidence::{Draft, Life},
    identity::Known,
    passages::Passage,
};
use alloc::collections::BTreeMap;
use quaywatch_schemas::{
    FieldClass, Position, Private, SensorId,
    site::Role,
    situation::{IdentityKind, Phase, Phrase, Subject, SubjectIdentity},
};
use serde::{Deserialize, Serialize};

/// The situations of the passages that are not final. One per passage of the lane at most: bounded by it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PerPassage {
    open: BTreeMap<Position, Life>,
}

impl PerPassage {
    /// Whether there is anything to conclude: it is news, or something was said of it.
    pub(super) fn concerns(&mut self, passage: &Passage) -> bool {
        let open = self.open.get(&passage.first).is_some_and(Life::is_open);
        if passage.last && !open {
            self.open.remove(&passage.first);
        }
        passage.news || open
    }

    /// Whether something was said of it that stands.
    pub(super) fn is_open(&self, passage: &Passage) -> bool {
        self.open.get(&passage.first).is_some_and(Life::is_open)
    }

    /// Says what is concluded of a passage now; `None` is nothing. What was said and no longer holds is taken back with
    /// `withdrawn`: what showed it, and what is made of it now.
    pub(super) fn say(
        &mut self,
        here: &mut Here<'_>,
        passage: &Passage,
        draft: Option<Draft>,
        least: f64,
        withdrawn: (&'static str, &'static str),
    ) {
        let open = self.open.get(&passage.first).is_some_and(Life::is_open);
        // At its edge it does not flicker.
        let enough = if open { least * 0.6 } else { least };
        match draft {
            Some(draft) if draft.probability() >= enough && passage.exit.is_some() => {
                let life = self.open.entry(passage.first).or_default();
                match (passage.last, open) {
                    (true, true) => life.end(here, Phase::Closed, draft),
                    (true, false) => {
                        life.say(here, passage.first, draft.clone());
                        life.end(here, Phase::Closed, draft);
                    }
                    (false, _) => life.say(here, passage.first, draft),
                }
            }
            draft if open => {
                let mut draft = draft.unwrap_or_else(|| nothing(passage, here));
                draft.withdraw(withdrawn.0, withdrawn.1);
                if let Some(mut life) = self.open.remove(&passage.first) {
                    life.end(here, Phase::Retracted, draft);
                }
            }
            _ => {}
        }
        if passage.last {
            self.open.remove(&passage.first);
        }
    }

    /// The rule is no longer run here.
    pub(super) fn stop(&mut self, here: &mut Here<'_>) {
        for (_, mut life) in core::mem::take(&mut self.open) {
            let mut draft = Draft::new(
                Phrase::words("a passage is no longer looked at"),
                Phrase::words("What was said of it last still stands."),
                0.5,
                here.wall(here.now),
            );
            rest_on_the_exit(&mut draft, here, "no longer looked at", 0.0);
            life.give_up(here, draft);
        }
    }
}

/// What is left when what it was about is not so.
fn nothing(passage: &Passage, here: &Here<'_>) -> Draft {
    let mut draft = Draft::new(
        Phrase::words("what was said of a passage does not hold"),
        Phrase::words("It does not hold."),
        0.1,
        passage.crossed,
    );
    rest_on_the_exit(&mut draft, here, "nothing that bears it out", -4.0);
    draft
}

fn rest_on_the_exit(draft: &mut Draft, here: &Here<'_>, said: &'static str, weight: f64) {
    for (exit, _) in here.sensors_with(Role::LoopExit).take(1) {
        draft.absent(here, exit, Phrase::words(said), weight);
    }
}

/// The vehicle of a passage as a subject.
pub(super) fn subject(role: &str, passage: &Passage, known: &Known) -> Subject {
    let mut identities = alloc::vec::Vec::new();
    if let Some(plate) = &known.plate {
        identities.push(SubjectIdentity {
            kind: IdentityKind::Plate,
            value: Private::clear(plate.best.clone()),
            probability: plate.probability,
            alternatives: plate.others.iter().map(|(other, _)| Private::clear(other.clone())).collect(),
            read_by: told_by(passage),
        });
    }
    for code in known.containers.iter().flat_map(|containers| &containers.codes) {
        identities.push(SubjectIdentity {
            kind: IdentityKind::Container,
            value: Private::clear(code.clone()),
            probability: known.containers.as_ref().map_or(0.0, |containers| containers.probability),
            alternatives: alloc::vec::Vec::new(),
            read_by: told_by(passage),
        });
    }
    Subject { role: role.into(), identities }
}

/// Who told which vehicle it was, in name order: whoever may not have one of them must not have what they made together.
pub(super) fn told_by(passage: &Passage) -> alloc::vec::Vec<SensorId> {
    let reads = passage.reads.iter().map(|read| &read.sensor);
    let codes = passage.codes.iter().map(|(sensor, ..)| sensor);
    let tags = passage.tags.iter().map(|(sensor, ..)| sensor);
    let granted = passage.granted.iter().filter(|(_, _, holder)| holder.is_some()).map(|(sensor, ..)| sensor);
    let mut all: alloc::vec::Vec<SensorId> = reads.chain(codes).chain(tags).chain(granted).cloned().collect();
    all.sort();
    all.dedup();
    all
}

/// Adds what each plate camera read, each with a share of a weight: each camera is quoted with its own read, for who may
/// have this one only must not learn what another read.
pub(super) fn quote_cameras(draft: &mut Draft, here: &Here<'_>, passage: &Passage, weight: f64) {
    let mut cameras: alloc::vec::Vec<&SensorId> = passage.reads.iter().map(|read| &read.sensor).collect();
    cameras.sort();
    cameras.dedup();
    let share = weight / cameras.len().max(1) as f64;
    for camera in cameras {
        let reads = || passage.reads.iter().filter(|read| read.sensor == *camera);
        let positions: alloc::vec::Vec<Position> = reads().map(|read| read.position).collect();
        let Some(best) = reads().reduce(|best, read| if read.confidence > best.confidence { read } else { best })
        else {
            continue;
        };
        let said = Phrase::words("plate ").value(FieldClass::QuasiIdentity, Private::clear(best.text.clone()));
        draft.said(here, camera, &positions, said, share);
    }
}
