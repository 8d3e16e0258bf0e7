//! The one consumer of the log: committed records in, products in the outbox out.
//!
//! It runs on a thread of its own and sees nothing but what the ledger's writer sends, in the writer's order: records, and
//! ticks when a deadline it asked for is due. All decisions are made by [`quaywatch_fusion`] and [`quaywatch_sharing`];
//! what is decided here is only *when things are kept*:
//!
//! * Each situation the engine puts out has an ordinal. A product is appended to the outbox with the ordinal that caused
//!   it, so that a replay after a crash knows which products already have a number, and gives none of them a second one.
//! * The checkpoint (engine snapshot, policy, what each recipient was told) is written in one transaction with the log
//!   position it stands for. It lags; the log does not.
//! * A new policy takes effect at its place in the log. Products still queued for a recipient whose view it changes are
//!   withdrawn and, where the new policy allows, replaced by new ones: a frozen product is sent as it is or not at all.

mod bounds;
mod learning;
mod rebuild;
mod review;

pub use learning::Learned;

use crate::{
    audit::{Head, Journal},
    guards::CEL,
    health::{Board, Condition},
    ledger::{Changes, Checkpoint, Class, Lane, NewEntry, Next, Outbox, Places, State, StateError, WriterControl},
};
use bounds::Bounds;
use quaywatch_fusion::{Engine, Learner};
use quaywatch_schemas::{
    Control, GatewayTime, LineId, Model, Policy, Position, RecipientId, Record, Site, Situation, Stamp, Stamped,
    WallTime, ZoneId,
    record::DeadLetter,
    sealed::KeyId,
    site::rules::Mode,
    situation::{Phase, Severity, SituationId},
    time::ClockQuality,
};
use quaywatch_sharing::{Context, Decision, Told, decide, envelope};
use rebuild::Rebuild;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// What the pipeline works on.
pub struct Parts {
    /// Where products go.
    pub outbox: Outbox,
    /// Where the checkpoint and everything a person may ask for goes.
    pub state: State,
    /// Who did what.
    pub journal: Journal,
    /// Wakes the pipeline when a deadline is due.
    pub writer: WriterControl,
    /// Keys the ids of situations.
    pub situation_key: [u8; 32],
    /// Keys the references recipients see.
    pub reference_key: [u8; 32],
    /// Where it says how it is.
    pub board: Board,
}

/// What others may know of the pipeline, at most a second old.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// The site in force.
    pub site: Option<Arc<Site>>,
    /// The policy in force.
    pub policy: Option<Arc<Policy>>,
    /// Digests of the files in force.
    pub site_digest: [u8; 32],
    /// See `site_digest`.
    pub policy_digest: [u8; 32],
    /// Zones no working sensor watches.
    pub blind_zones: Vec<ZoneId>,
    /// ISPS level.
    pub security_level: u8,
    /// The gateway's clock as of the last record.
    pub clock: ClockQuality,
    /// Everything up to here has been decided.
    pub position: Position,
}

/// The last dead letters in words, oldest first; at most 256.
pub type DeadLetters = Arc<Mutex<VecDeque<(LineId, String)>>>;

/// The pipeline could not go on. The process should end and start again from the log.
#[derive(Debug, thiserror::Error)]
#[error("the pipeline cannot go on: {0}")]
pub struct PipelineError(String);

/// The one consumer of the log.
pub struct Pipeline {
    parts: Parts,
    engine: Engine,
    in_force: InForce,
    unkept_in_force: bool,
    /// Added to the engine's own count of outputs, which starts over when an engine is rebuilt from the log.
    outputs_before: u64,
    /// Until an engine that is rebuilt is where an earlier run was.
    rebuild: Option<Rebuild>,
    /// Conclusions up to here were disseminated by an earlier run whose count of them is lost.
    told_until: GatewayTime,
    told: BTreeMap<(RecipientId, SituationId), Told>,
    entries: Vec<NewEntry>,
    sequences: BTreeMap<RecipientId, (u64, u64)>,
    changes: Changes,
    stamp: Stamp,
    unkept_records: u32,
    keep_at: Option<GatewayTime>,
    picture: watch::Sender<Picture>,
    pictured: GatewayTime,
    bounds: Bounds,
    dead_letters: DeadLetters,
    learner: Learner,
    /// Whether it learned something since that was last shown, and since it was last kept.
    learned: bool,
    unkept_learning: bool,
    learned_out: watch::Sender<Option<Arc<Learned>>>,
}

/// The part of the checkpoint that is ours, beside the engine's snapshot.
#[derive(Serialize, Deserialize)]
struct Kept {
    engine: Vec<u8>,
    outputs_before: u64,
}

/// What control records have put in force. Kept with the checkpoint, as seldom as it changes: the records themselves go
/// when the log forgets its beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct InForce {
    site: Option<Site>,
    site_digest: [u8; 32],
    policy: Policy,
    policy_digest: [u8; 32],
    /// When the policy's agreements were last looked at.
    #[serde(default)]
    agreements_as_of: WallTime,
    security_level: u8,
    adopted: Model,
    /// Who put the rates in force, and when.
    adopted_by: Option<(String, WallTime)>,
    /// Where the audit journal stood: one that ends earlier was cut.
    #[serde(default)]
    audit: Option<Head>,
}

impl Default for InForce {
    fn default() -> Self {
        Self {
            site: None,
            site_digest: [0; 32],
            policy: Policy::default(),
            policy_digest: [0; 32],
            agreements_as_of: WallTime::default(),
            security_level: 1,
            adopted: Model::default(),
            adopted_by: None,
            audit: None,
        }
    }
}

impl InForce {
    /// As the store has it; `None` for a new store, or one that another version wrote.
    fn read(state: &State) -> Result<Option<Self>, StateError> {
        Ok(state.in_force()?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// Why a product is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The engine put this out, as its so-manieth output.
    Output(u64),
    /// A new policy withdrew an earlier product of the same situation.
    Policy,
    /// An engine was rebuilt, and this is what became of what was open.
    Rebuild,
}

/// Records taken before the outbox is synced once for all of them.
const MOST_AT_ONCE: usize = 512;
/// A checkpoint costs a redb commit (tens of KiB of flash): soon where a person may ask for what changed, seldom else.
const KEEP_SOON: Duration = Duration::from_secs(1);
const KEEP_SELDOM: Duration = Duration::from_secs(30);
/// Bounds what a restart has to replay, and what changes wait in memory.
const KEEP_RECORDS: u32 = 20_000;
/// A product concluded longer ago than this is late: it never overtakes live ones.
const LATE_AFTER: Duration = Duration::from_secs(60);
const PICTURE_EVERY: Duration = Duration::from_secs(1);
/// Dead letters kept readable in memory; all of them are in the log.
const DEAD_LETTERS: usize = 256;

impl Pipeline {
    /// Picks up where the checkpoint stands. Returns the pipeline and the position the log must be replayed from.
    pub fn resume(mut parts: Parts) -> Result<(Self, Position), PipelineError> {
        let checkpoint = parts.state.checkpoint().map_err(cannot)?;
        let told = parts.state.told().map_err(cannot)?;
        let mut learner = learning::Stored::read(&parts.state).map_err(cannot)?.learner;
        let in_force = InForce::read(&parts.state).map_err(cannot)?;
        if let Some(known) = in_force.as_ref().and_then(|in_force| in_force.audit.as_ref()) {
            parts.journal.expect(known);
        }
        parts.journal.begin_after(checkpoint.as_ref().map_or(Position(0), |checkpoint| checkpoint.position));
        let mut told_until = GatewayTime(0);
        let (engine, outputs_before, replay_after, rebuild) = match &checkpoint {
            // A new store, or one whose state was lost: what made products before must not make them again, and what comes
            // must count on from there.
            None => {
                told_until = parts.outbox.latest_concluded();
                learner = Learner::default();
                (new_engine(&parts), parts.outbox.last_output(), Position(0), None)
            }
            Some(checkpoint) => match restored(&parts, checkpoint, in_force.is_some()) {
                Ok((engine, outputs_before)) => (engine, outputs_before, checkpoint.position, None),
                Err(why) => {
                    tracing::warn!(why, "the engine's snapshot cannot be used; rebuilding it from the log");
                    told_until = parts.outbox.latest_concluded();
                    learner = Learner::default();
                    let outputs_before = checkpoint.outputs.max(parts.outbox.last_output());
                    let rebuild = Rebuild::until(checkpoint.position, in_force.clone());
                    (new_engine(&parts), outputs_before, Position(0), Some(rebuild))
                }
            },
        };
        let in_force = in_force.filter(|_| checkpoint.is_some()).unwrap_or_default();
        let told = told
            .into_iter()
            .filter_map(|(key, bytes)| postcard::from_bytes(&bytes).ok().map(|told| (key, told)))
            .collect();
        let bounds = Bounds::of(&engine);
        let mut pipeline = Self {
            parts,
            engine,
            in_force,
            unkept_in_force: true,
            outputs_before,
            rebuild,
            told_until,
            told,
            entries: Vec::new(),
            sequences: BTreeMap::new(),
            changes: Changes::default(),
            stamp: Stamp { position: replay_after, ..Stamp::default() },
            unkept_records: 0,
            keep_at: None,
            picture: watch::Sender::new(Picture::default()),
            pictured: GatewayTime(0),
            bounds,
            dead_letters: DeadLetters::default(),
            learner,
            learned: true,
            unkept_learning: true,
            learned_out: watch::Sender::new(None),
        };
        pipeline.measure();
        pipeline.show();
        Ok((pipeline, Position(replay_after.0 + 1)))
    }

    /// What others may know of it.
    pub fn picture(&self) -> watch::Receiver<Picture> {
        self.picture.subscribe()
    }

    /// What was learned, at most a second old; `None` until a site is in force.
    pub fn learned(&self) -> watch::Receiver<Option<Arc<Learned>>> {
        self.learned_out.subscribe()
    }

    /// The last dead letters.
    pub fn dead_letters(&self) -> DeadLetters {
        self.dead_letters.clone()
    }

    /// Works until the writer has nothing more to send, then keeps everything.
    pub fn run(mut self, mut records: mpsc::Receiver<Next>) -> Result<(), PipelineError> {
        while let Some(next) = records.blocking_recv() {
            self.take(next)?;
            for _ in 1..MOST_AT_ONCE {
                let Ok(next) = records.try_recv() else { break };
                self.take(next)?;
            }
            self.put_out()?;
            self.keep_if_due()?;
            self.show_if_due();
            self.parts.writer.wake_at(self.wake_at());
        }
        self.put_out()?;
        self.keep()
    }

    fn take(&mut self, next: Next) -> Result<(), PipelineError> {
        if let Next::Tick(now) = &next {
            self.review_agreements(*now)?;
        }
        match next {
            Next::Records(records) => records.into_iter().try_for_each(|record| self.take_record(record)),
            Next::Tick(now) => {
                self.stamp = now;
                self.go_on_rebuilding(&now, false)?;
                let before = self.engine.outputs();
                let situations = self.engine.advance(&now);
                self.disseminate(before, situations, None);
                Ok(())
            }
        }
    }

    fn take_record(&mut self, record: Stamped) -> Result<(), PipelineError> {
        let policy = Some(&self.in_force.policy).filter(|_| self.in_force.policy_digest != [0; 32]);
        self.parts.journal.take(&record, self.in_force.site.as_ref(), policy, self.in_force.security_level);
        // The record itself is still to come: what is kept now must not count it as taken.
        let before = Position(record.stamp.position.0.saturating_sub(1));
        self.review_agreements(Stamp { position: before, ..record.stamp })?;
        self.stamp = record.stamp;
        self.unkept_records += 1;
        self.go_on_rebuilding(&record.stamp, true)?;
        let before = self.engine.outputs();
        // What a new site file ends is told with the places and sensors of the old one.
        let applies_site = matches!(record.record, Record::Control(Control::SiteApplied { .. }));
        let old_site = applies_site.then(|| self.engine.site().cloned()).flatten();
        let situations = self.engine.observe(&record);
        // What the record led to is decided under the policy that was in force when it came.
        self.disseminate(before, situations, old_site.as_ref());
        match record.record {
            Record::Observation(_) => {}
            Record::DeadLetter(letter) => self.remember(&letter),
            Record::Control(control) => self.take_control(control)?,
        }
        Ok(())
    }

    fn take_control(&mut self, control: Control) -> Result<(), PipelineError> {
        match control {
            Control::SiteApplied { site, digest } => {
                self.in_force.site_digest = digest;
                let zones = site.zones.iter().map(|(id, zone)| (id.clone(), zone.name.clone())).collect();
                self.learned = true;
                self.changes.places = Some(Places { timezone: site.timezone.clone(), zones });
                self.in_force.site = Some(*site);
                self.unkept_in_force = true;
            }
            Control::RatesAdopted { by, model } => {
                (self.in_force.adopted, self.in_force.adopted_by) = (*model, Some((by, self.stamp.wall)));
                self.unkept_in_force = true;
                self.learned = true;
                self.keep_within(KEEP_SOON);
            }
            Control::KeyDestroyed { key } => {
                self.changes.keys_destroyed.push((KeyId(key), self.stamp.wall));
                return Ok(());
            }
            Control::KeyMade { .. } => {
                // What is open may outlive the keys it was first sealed with.
                let told = self.told.iter().map(|(key, told)| {
                    (key.clone(), postcard::to_stdvec(told).expect("what was told always serialises"))
                });
                self.changes.told = told.collect();
                self.keep_within(KEEP_SOON);
                return Ok(());
            }
            Control::PolicyApplied { policy, digest } => {
                let old = std::mem::replace(&mut self.in_force.policy, *policy);
                self.in_force.policy_digest = digest;
                self.unkept_in_force = true;
                self.in_force.agreements_as_of = self.stamp.wall;
                if self.rebuild.is_none() {
                    self.review_queue(&old)?;
                }
            }
            Control::SecurityLevel { level, .. } => {
                self.in_force.security_level = level;
                self.unkept_in_force = true;
            }
            Control::Answer(answer) => {
                self.learn_verdict(&answer).map_err(cannot)?;
                self.changes.answers.push(answer);
                self.keep_within(KEEP_SOON);
            }
            _ => return Ok(()),
        }
        self.show();
        Ok(())
    }

    /// Decides who is told of what the engine put out.
    fn disseminate(&mut self, outputs_before: u64, situations: Vec<Situation>, old_site: Option<&Site>) {
        if situations.is_empty() {
            return;
        }
        self.keep_within(KEEP_SOON);
        for (situation, ordinal) in situations.into_iter().zip(outputs_before + 1..) {
            metrics::counter!("quaywatch_situations_total", "kind" => situation.kind.clone()).increment(1);
            self.learn(&situation);
            if self.rebuild.is_some() {
                self.note_rebuilt(situation);
                continue;
            }
            self.changes.evidence_of(&situation);
            if situation.concluded > self.told_until && situation.mode == Mode::Tell {
                self.tell(&situation, Cause::Output(self.outputs_before + ordinal), old_site);
            }
            self.changes.situations.push(situation);
        }
    }

    fn tell(&mut self, situation: &Situation, cause: Cause, old_site: Option<&Site>) {
        let recipients: Vec<RecipientId> = self.in_force.policy.recipients.keys().cloned().collect();
        for recipient in recipients {
            self.tell_one(&recipient, situation, cause, old_site);
        }
    }

    fn tell_one(&mut self, recipient: &RecipientId, situation: &Situation, cause: Cause, old_site: Option<&Site>) {
        let Some(site) = old_site.or(self.engine.site()) else { return };
        let others: Vec<RecipientId> = self
            .told
            .keys()
            .filter(|(told, of)| *of == situation.id && told != recipient)
            .map(|(told, _)| told.clone())
            .collect();
        let late = self.stamp.gateway.since(situation.concluded) > LATE_AFTER;
        let key = (recipient.clone(), situation.id);
        let context = Context {
            policy: &self.in_force.policy,
            site,
            told: self.told.get(&key),
            others_told: &others,
            reference_key: &self.parts.reference_key,
            late,
            now: self.stamp.wall,
        };
        let release = match decide(recipient, situation, &context) {
            Decision::Release(release) => *release,
            Decision::Unchanged => return,
            Decision::Withhold(reason) => {
                metrics::counter!("quaywatch_withheld_total", "recipient" => recipient.to_string()).increment(1);
                tracing::debug!(%recipient, kind = situation.kind, ?reason, "withheld");
                return;
            }
        };
        self.changes.references.push((release.product.reference.clone(), situation.id));
        let source = (site.locode.clone(), site.id.clone());
        let outbox = &self.parts.outbox;
        let (sequence, output) = self.sequences.entry(recipient.clone()).or_insert_with(|| {
            let high_water = outbox.high_water(recipient);
            (high_water.sequence, high_water.output)
        });
        // A replay after a crash decides the same again; what already has a number keeps it.
        let ordinal = match cause {
            Cause::Output(ordinal) => ordinal,
            Cause::Policy | Cause::Rebuild => *output,
        };
        if ordinal > *output || matches!(cause, Cause::Policy | Cause::Rebuild) {
            *sequence += 1;
            *output = ordinal;
            let event = envelope(&release, (&source.0, &source.1, recipient), &outbox.epoch_hex(), *sequence);
            self.changes.products.push((recipient.clone(), event.id.clone(), situation.id));
            self.entries.push(NewEntry {
                recipient: recipient.clone(),
                sequence: *sequence,
                zone: situation.zone.clone(),
                lane: if late { Lane::Late } else { Lane::Live },
                class: class_of(situation),
                output: ordinal,
                situation: situation.id,
                concluded: situation.concluded,
                concluded_wall: situation.concluded_wall,
                body: serde_json::to_vec(&event).expect("a product has no map with keys other than text"),
            });
        }
        if matches!(situation.phase, Phase::Closed | Phase::Retracted) {
            self.told.remove(&key);
            self.changes.forget_told.push(key);
        } else {
            let bytes = postcard::to_stdvec(&release.told).expect("what was told always serialises");
            // What an earlier record forgot in the same transaction is known again.
            self.changes.forget_told.retain(|forgotten| *forgotten != key);
            self.changes.told.push((key.clone(), bytes));
            self.told.insert(key, release.told);
        }
    }

    /// Puts on disk who did what, then what is to be told.
    fn put_out(&mut self) -> Result<(), PipelineError> {
        self.parts.journal.sync(&self.stamp).map_err(cannot)?;
        if self.entries.is_empty() {
            return Ok(());
        }
        self.parts.outbox.append(std::mem::take(&mut self.entries)).map_err(cannot)
    }

    fn keep_within(&mut self, within: Duration) {
        let due = self.stamp.gateway.after(within);
        self.keep_at = Some(self.keep_at.map_or(due, |at| at.min(due)));
    }

    fn keep_if_due(&mut self) -> Result<(), PipelineError> {
        if self.unkept_records > 0 {
            self.keep_within(KEEP_SELDOM);
        }
        let due = self.keep_at.is_some_and(|at| at <= self.stamp.gateway);
        if due || self.unkept_records >= KEEP_RECORDS { self.keep() } else { Ok(()) }
    }

    fn keep(&mut self) -> Result<(), PipelineError> {
        self.parts.journal.checkpoint(&self.stamp);
        self.parts.journal.sync(&self.stamp).map_err(cannot)?;
        // While an engine is being rebuilt the old checkpoint stands: it is what the rebuild ends at.
        if self.rebuild.is_none() && self.stamp.position.0 > 0 {
            let kept = Kept { engine: self.engine.snapshot(), outputs_before: self.outputs_before };
            let mut changes = std::mem::take(&mut self.changes);
            changes.learned = std::mem::take(&mut self.unkept_learning).then(|| self.stored_learning());
            let head = self.parts.journal.head();
            if self.in_force.audit.as_ref() != Some(head) {
                self.in_force.audit = Some(head.clone());
                self.unkept_in_force = true;
            }
            if std::mem::take(&mut self.unkept_in_force) {
                // Files of people grow settings: what one version kept the next one reads.
                changes.in_force = Some(serde_json::to_vec(&self.in_force).map_err(cannot)?);
            }
            changes.checkpoint = Some(Checkpoint {
                position: self.stamp.position,
                engine: postcard::to_stdvec(&kept).map_err(cannot)?,
                outputs: self.outputs_before + self.engine.outputs(),
            });
            self.parts.state.apply(changes).map_err(cannot)?;
            self.parts.writer.applied(self.stamp.position);
        }
        self.unkept_records = 0;
        self.keep_at = None;
        Ok(())
    }

    fn wake_at(&self) -> Option<GatewayTime> {
        let deadline = self.engine.next_deadline().map(|deadline| deadline.at);
        let change = self.next_change().map(|at| {
            let nanos = u64::try_from(at.0.saturating_sub(self.stamp.wall.0)).unwrap_or(0);
            self.stamp.gateway.after(Duration::from_nanos(nanos))
        });
        [deadline, self.keep_at, change].into_iter().flatten().min()
    }

    fn remember(&self, letter: &DeadLetter) {
        metrics::counter!("quaywatch_dead_letters_total", "line" => letter.line.to_string()).increment(1);
        let at = rfc3339(self.stamp.wall);
        let sensor = letter.sensor.as_ref().map(|sensor| format!(" sensor {sensor}")).unwrap_or_default();
        let words = format!("{at} line {}{sensor}: {} ({} bytes)", letter.line, letter.reason, letter.length);
        let mut letters = self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
        if letters.len() == DEAD_LETTERS {
            letters.pop_front();
        }
        letters.push_back((letter.line.clone(), words));
    }

    fn show_if_due(&mut self) {
        if self.stamp.gateway.since(self.pictured) >= PICTURE_EVERY {
            self.pictured = self.stamp.gateway;
            self.show();
            self.show_learned();
        }
    }

    fn show(&mut self) {
        self.bounds.show(&self.engine, self.stamp.gateway, &self.parts.board);
        let blind = self.engine.coverage();
        let condition = match self.engine.site() {
            None => Condition::Degraded("no site file has been applied yet".into()),
            Some(_) if blind.is_empty() => Condition::Well,
            Some(_) => {
                let zones: Vec<&str> = blind.iter().map(|zone| zone.as_str()).collect();
                Condition::Degraded(format!("nobody is looking at {}", zones.join(", ")))
            }
        };
        self.parts.board.say("coverage", condition);
        let old = self.picture.borrow().clone();
        let same_site = old.site.is_some() && old.site_digest == self.in_force.site_digest;
        let same_policy = old.policy.is_some() && old.policy_digest == self.in_force.policy_digest;
        self.picture.send_replace(Picture {
            site: if same_site { old.site } else { self.engine.site().cloned().map(Arc::new) },
            policy: if same_policy { old.policy } else { Some(Arc::new(self.in_force.policy.clone())) },
            site_digest: self.in_force.site_digest,
            policy_digest: self.in_force.policy_digest,
            blind_zones: blind,
            security_level: self.in_force.security_level,
            clock: self.stamp.quality,
            position: self.stamp.position,
        });
    }
}

/// Where the audit journal of a store stood when its state was last kept.
pub fn audit_head(state: &State) -> Result<Option<Head>, StateError> {
    Ok(InForce::read(state)?.and_then(|in_force| in_force.audit))
}

/// Guards are in one language wherever an engine works on a log.
fn new_engine(parts: &Parts) -> Engine {
    Engine::new(parts.situation_key).with_guards(&CEL)
}

/// The engine of a checkpoint and the outputs before it, or why it cannot go on.
fn restored(parts: &Parts, checkpoint: &Checkpoint, in_force_is_known: bool) -> Result<(Engine, u64), String> {
    let kept: Kept = postcard::from_bytes(&checkpoint.engine).map_err(|why| why.to_string())?;
    if !in_force_is_known {
        return Err("it is not known what was in force".into());
    }
    let engine = Engine::restore(parts.situation_key, &kept.engine).map_err(|why| why.to_string())?;
    Ok((engine.with_guards(&CEL), kept.outputs_before))
}

/// Routine products may be let go before alarms when the disk runs out.
fn class_of(situation: &Situation) -> Class {
    if situation.severity >= Severity::Moderate { Class::Alarm } else { Class::Routine }
}

fn rfc3339(at: WallTime) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(|_| "?".into(), |at| format!("{at:.3}"))
}

fn cannot(error: impl std::fmt::Display) -> PipelineError {
    PipelineError(error.to_string())
}

#[cfg(test)]
mod tests;
