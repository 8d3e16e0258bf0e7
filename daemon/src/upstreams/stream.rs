//! One recipient's stream: what every kind of upstream shares between the outbox and the wire.
//!
//! A product leaves the outbox only when it is **confirmed**: with `transport` when the transport took it, with `receipt`
//! when the recipient's cumulative receipt covers it. What was sent and not receipted is not sent again on the same
//! connection for [`RECEIPT_WITHIN`]; after that all of it is, in order, and then less and less often, up to
//! [`RECEIPT_AT_LAST`]. After a reconnect everything unconfirmed is sent again in any case.
//!
//! Before each send the policy in force is asked. What it does not allow is **held** here, not withdrawn: while a store is
//! being replayed after a crash the policy in force is an older one for a moment, and a product that was withdrawn then
//! would be lost. The pipeline withdraws what a new policy no longer allows, at the policy's place in the log.

use super::{
    Parts, blocking,
    messages::{self, Frame},
    queue::{Queue, Room, Route},
    standing::{About, Standing},
};
use crate::{ledger::wall_now, pipeline::Picture};
use quaywatch_schemas::{RecipientId, policy::Confirm};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// A product that may be sent now.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) route: Route,
    pub(super) sequence: u64,
    pub(super) body: Vec<u8>,
}

/// One recipient's stream.
pub(super) struct Stream {
    pub(super) recipient: RecipientId,
    confirm: Confirm,
    parts: Parts,
    standing: Standing,
    queue: Queue,
    /// Taken by the transport, not yet told to the outbox.
    to_confirm: Vec<u64>,
    /// Taken by the transport, not yet receipted, and when. As bounded as the outbox.
    sent: BTreeMap<u64, Instant>,
    patience: Duration,
    gauged: Option<Instant>,
    appended: watch::Receiver<u64>,
    /// Whether the outbox is to be looked at although nothing was appended.
    look_again: bool,
}

/// How long a recipient may take to say that it has what it was sent. A consumer that writes to a database and receipts
/// what is there needs seconds; one that restarts needs a minute or two.
pub(super) const RECEIPT_WITHIN: Duration = Duration::from_secs(300);
/// What the time between two sendings without a receipt grows to.
const RECEIPT_AT_LAST: Duration = Duration::from_secs(3600);
/// Confirmations that are told to the outbox in one write.
const CONFIRM_AT_ONCE: usize = 256;
/// Numbers taken up from the outbox under one lock.
const LOOK_AT_ONCE: usize = 4096;
const GAUGE_EVERY: Duration = Duration::from_secs(1);

impl Stream {
    pub(super) fn new(recipient: RecipientId, confirm: Confirm, parts: Parts, standing: Standing) -> Self {
        Self {
            appended: parts.outbox.subscribe(),
            look_again: true,
            recipient,
            confirm,
            parts,
            standing,
            queue: Queue::default(),
            to_confirm: Vec::new(),
            sent: BTreeMap::new(),
            patience: RECEIPT_WITHIN,
            gauged: None,
        }
    }

    /// Up to `most` products that may be sent now; each is under way until its outcome is said.
    pub(super) fn take(&mut self, now: Instant, most: usize, room: Room) -> Vec<Parcel> {
        self.look();
        let policy = self.parts.picture.borrow().policy.clone();
        let Some(recipient) = policy.as_ref().and_then(|policy| policy.recipients.get(&self.recipient)) else {
            return Vec::new();
        };
        let mut chosen = Vec::new();
        while chosen.len() < most {
            let Some((route, sequence)) = self.queue.next(now, room) else { break };
            if recipient.covers(&route.zone) {
                chosen.push((route, sequence));
            } else {
                self.queue.put_off(&route, sequence, now);
            }
        }
        self.read(chosen, now)
    }

    fn look(&mut self) {
        let appended = self.appended.has_changed().unwrap_or(false);
        if !appended && !self.look_again {
            return;
        }
        self.appended.mark_unchanged();
        self.look_again = false;
        loop {
            let waiting = blocking(|| self.parts.outbox.waiting(&self.recipient, self.queue.seen(), LOOK_AT_ONCE));
            let all = waiting.len() < LOOK_AT_ONCE;
            self.queue.add(waiting);
            if all {
                return;
            }
        }
    }

    fn read(&mut self, chosen: Vec<(Route, u64)>, now: Instant) -> Vec<Parcel> {
        if chosen.is_empty() {
            return Vec::new();
        }
        let sequences: Vec<u64> = chosen.iter().map(|(_, sequence)| *sequence).collect();
        let entries = match blocking(|| self.parts.outbox.entries(&self.recipient, &sequences)) {
            Ok(entries) => entries,
            Err(why) => {
                self.standing.failed(About::Store, why.to_string());
                chosen.iter().for_each(|(route, sequence)| self.queue.put_off_all(route, *sequence, now, None));
                return Vec::new();
            }
        };
        let mut entries = entries.into_iter().peekable();
        let mut parcels = Vec::with_capacity(chosen.len());
        for (route, sequence) in chosen {
            match entries.next_if(|entry| entry.sequence == sequence) {
                Some(entry) => parcels.push(Parcel { route, sequence, body: entry.body }),
                // Receipted, withdrawn or shed since it was chosen.
                None => self.queue.gone(&route, sequence),
            }
        }
        if !parcels.is_empty() {
            self.standing.well(About::Store);
        }
        parcels
    }

    /// It is on the wire.
    pub(super) fn went_out(&self) {
        metrics::counter!("quaywatch_upstream_sent_total", "recipient" => self.label()).increment(1);
    }

    /// The transport took it.
    pub(super) fn taken(&mut self, route: &Route, sequence: u64, sent: Instant, now: Instant) {
        self.queue.taken(route, sequence);
        match self.confirm {
            Confirm::Transport => {
                self.took(now.saturating_duration_since(sent));
                self.to_confirm.push(sequence);
                if self.to_confirm.len() >= CONFIRM_AT_ONCE {
                    self.settle();
                }
            }
            Confirm::Receipt => {
                self.sent.insert(sequence, now);
            }
        }
    }

    /// It was not handed over after all: it goes next.
    pub(super) fn put_back(&mut self, route: &Route, sequence: u64) {
        self.queue.put_back(route, sequence);
    }

    /// It could not be sent over its route now.
    pub(super) fn put_off(&mut self, route: &Route, sequence: u64, now: Instant) {
        self.queue.put_off(route, sequence, now);
        self.retried(1);
    }

    /// Nothing can be sent now.
    pub(super) fn put_off_all(&mut self, route: &Route, sequence: u64, now: Instant, at_least: Option<Duration>) {
        self.queue.put_off_all(route, sequence, now, at_least);
        self.retried(1);
    }

    /// The recipient refuses it for good: it is set aside with an alarm, and its zone goes on.
    pub(super) fn refused(&mut self, route: &Route, sequence: u64, why: &str) {
        self.queue.gone(route, sequence);
        metrics::counter!("quaywatch_upstream_refused_total", "recipient" => self.label()).increment(1);
        if let Err(why) = blocking(|| self.parts.outbox.dead_letter(&self.recipient, sequence, why)) {
            self.standing.failed(About::Store, why.to_string());
        }
    }

    /// The connection is gone: everything that is not confirmed will be sent again, in order.
    pub(super) fn start_over(&mut self) {
        self.settle();
        self.retried(self.queue.under_way() + self.sent.len());
        self.sent.clear();
        self.queue.start_over();
        self.look_again = true;
    }

    /// Tells the outbox what the transport took, and looks after receipts. To be called when a burst is over.
    pub(super) fn settle(&mut self) {
        if !self.to_confirm.is_empty() {
            let confirmed = blocking(|| self.parts.outbox.confirm(&self.recipient, &self.to_confirm));
            match confirmed {
                Ok(count) => {
                    metrics::counter!("quaywatch_upstream_confirmed_total", "recipient" => self.label())
                        .increment(count as u64);
                    self.to_confirm.clear();
                    self.standing.well(About::Store);
                }
                // They are kept here and told again; until then the worst is an exact repeat after a restart.
                Err(why) => self.standing.failed(About::Store, why.to_string()),
            }
        }
    }

    /// Looks which products were receipted, and sends again what was not for too long.
    pub(super) fn look_after_receipts(&mut self, now: Instant) {
        if self.sent.is_empty() {
            return;
        }
        let first_waiting = blocking(|| self.parts.outbox.waiting(&self.recipient, 0, 1));
        let first_waiting = first_waiting.first().map(|first| first.sequence);
        let waiting = first_waiting.map_or_else(BTreeMap::new, |first| self.sent.split_off(&first));
        let receipted = std::mem::replace(&mut self.sent, waiting);
        if !receipted.is_empty() {
            receipted.values().for_each(|sent| self.took(now.saturating_duration_since(*sent)));
            self.patience = RECEIPT_WITHIN;
            self.standing.well(About::Receipts);
        }
        let overdue =
            self.sent.first_key_value().filter(|(_, sent)| now.saturating_duration_since(**sent) >= self.patience);
        if let Some(first) = overdue.map(|(first, _)| *first) {
            let (count, minutes) = (self.sent.len(), self.patience.as_secs() / 60);
            self.standing.degraded(
                About::Receipts,
                format!("no receipt for {minutes} min; {count} products were sent and are sent again"),
            );
            self.retried(count);
            self.sent.clear();
            self.queue.look_again_after(first - 1);
            self.look_again = true;
            self.patience = (self.patience * 2).min(RECEIPT_AT_LAST);
        }
    }

    /// Whether receipts are waited for.
    pub(super) fn awaits_receipts(&self) -> bool {
        !self.sent.is_empty()
    }

    /// When something is to be done although nothing happens.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let receipt = self.sent.first_key_value().map(|(_, sent)| *sent + self.patience);
        [self.queue.due(now), receipt].into_iter().flatten().min()
    }

    /// How many products are under way.
    pub(super) fn under_way(&self) -> usize {
        self.queue.under_way()
    }

    /// The heartbeat as of now; `None` before a site and a policy that names the recipient are in force.
    pub(super) fn heartbeat(&self) -> Option<Vec<u8>> {
        let picture = self.parts.picture.borrow().clone();
        let policy = picture.policy.clone()?;
        let recipient = policy.recipients.get(&self.recipient)?;
        let accounts = blocking(|| self.parts.outbox.accounts(&self.recipient));
        self.framed(&picture, |frame| messages::heartbeat(frame, &picture, recipient, &accounts))
    }

    /// The announcement of the epoch; `None` if the recipient has it already.
    pub(super) fn started(&self) -> Option<Vec<u8>> {
        let reason = self.parts.outbox.to_announce(&self.recipient)?;
        let picture = self.parts.picture.borrow().clone();
        self.framed(&picture, |frame| messages::started(frame, &reason))
    }

    /// The recipient has the announcement.
    pub(super) fn announced(&self) {
        if let Err(why) = blocking(|| self.parts.outbox.announced(&self.recipient)) {
            self.standing.failed(About::Store, why.to_string());
        }
    }

    fn framed(&self, picture: &Picture, render: impl FnOnce(Frame<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        let epoch_hex = self.parts.outbox.epoch_hex();
        let site = picture.site.as_deref()?;
        Some(render(Frame { site, recipient: &self.recipient, epoch_hex: &epoch_hex, now: wall_now() }))
    }

    /// Shows how much waits, at most once a second unless `at_once`.
    pub(super) fn show_backlog(&mut self, now: Instant, at_once: bool) {
        if at_once || self.gauged.is_none_or(|at| now.saturating_duration_since(at) >= GAUGE_EVERY) {
            self.gauged = Some(now);
            let backlog = blocking(|| self.parts.outbox.accounts(&self.recipient)).backlog;
            metrics::gauge!("quaywatch_upstream_backlog", "recipient" => self.label()).set(backlog as f64);
        }
    }

    fn took(&self, time: Duration) {
        metrics::histogram!("quaywatch_upstream_confirm_seconds", "recipient" => self.label())
            .record(time.as_secs_f64());
    }

    fn retried(&self, count: usize) {
        metrics::counter!("quaywatch_upstream_retried_total", "recipient" => self.label()).increment(count as u64);
    }

    fn label(&self) -> String {
        self.recipient.to_string()
    }
}
