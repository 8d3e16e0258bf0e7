//! What people ask of a node, one thing after the other, and how far each is.
//!
//! At most one order is on its way to a node. A transfer goes on after a cut where the node says it stands; whatever else
//! was cut is said again, and a node that did it already only answers again.

use quaywatch_schemas::frame::{
    NodeKey,
    message::{
        BLOCK_BYTES, Done, Findings, Firmware, MANIFEST_BYTES, NewKey, Refusal, SETTINGS_BYTES, SettingsState, Task,
        Transfer,
    },
};
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Orders that wait for one node; more are not taken.
const MOST_WAITING: usize = 8;
/// An order that gets no further for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A transfer outlives an outage of the link; so does a key, of which the node may have the new one already.
const LONG_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// An order that a node did not answer, or is still working on, is said again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Half of 4 GiB: offsets stay in 32 bits whatever is added to them.
const LARGEST_IMAGE: usize = 1 << 31;

/// What a person asks of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Blink.
    Identify {
        /// For how long; 0 ends it.
        seconds: u16,
    },
    /// Test flash and inputs.
    SelfTest,
    /// Start again. Done when it is back.
    Restart,
    /// Work by these settings, as the firmware writes them. Done when the node answered under them and keeps them.
    Configure(Arc<[u8]>),
    /// Run this firmware. Done when it runs it for good: it tested itself and heard the gateway.
    Update {
        /// What the image is.
        firmware: Firmware,
        /// Its manifest and behind that the image itself.
        image: Arc<[u8]>,
    },
    /// Have this key. Done when the node used it; the former one is worth nothing then.
    Rotate(NodeKey),
}

/// Stands for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderId(pub u64);

/// How far an order is. Everything but [`Report::Progress`] ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// So many bytes of so many are there.
    Progress {
        /// Bytes the node has.
        has: u32,
        /// Bytes there are.
        of: u32,
    },
    /// It is done.
    Done,
    /// The node tested itself.
    Tested(Findings),
    /// The node does not do it.
    Refused(Refusal),
    /// The node restarted and runs other firmware: the image did not start, or did not pass its trial.
    RunsOther(Firmware),
    /// The node did not answer for long, or got no further. What it was told it may still do.
    TimedOut,
    /// The node is not trusted any more.
    Withdrawn,
}

/// Why an order is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// No node of that number is on this bus.
    NoSuchNode,
    /// It is revoked or quarantined.
    NotTrusted,
    /// So many orders wait for it already.
    Full,
    /// Settings or image are empty or larger than a node takes.
    Size,
    /// It is being given another new key; that has to come to its end first.
    Rotating,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNode => f.write_str("no node of that number is on this bus"),
            Self::NotTrusted => f.write_str("the node is revoked or quarantined"),
            Self::Full => write!(f, "{MOST_WAITING} orders wait for the node already"),
            Self::Size => {
                write!(f, "settings have 1 to {SETTINGS_BYTES} bytes, a signed image at least {}", MANIFEST_BYTES + 1)
            }
            Self::Rotating => f.write_str("the node is being given another new key already"),
        }
    }
}

impl std::error::Error for NotTaken {}

/// The orders of one node.
#[derive(Default)]
pub(super) struct Orders {
    queue: VecDeque<Job>,
    numbers: u32,
}

struct Job {
    /// One that the gateway gave itself has none.
    id: Option<OrderId>,
    request: Request,
    step: Step,
    number: u32,
    /// Whether the step's order went out at least once.
    sent: bool,
    moved: Instant,
    not_before: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Something short.
    Say,
    Begin,
    Block(u32),
    Finish,
    /// Settings are on trial: the next poll shows whether the node can still be reached.
    Trial,
    Confirm,
    /// An image is there and waits for the restart.
    Restart,
    /// The node is restarting.
    Back,
    /// The image runs, and is on trial until it heard the gateway.
    Proof,
    /// The node has the new key and has to use it.
    Key,
}

/// What an answer led to.
pub(super) enum Moved {
    /// Nothing to tell.
    On,
    /// Something to tell the one who asked; the order goes on or is over, as the report says.
    Tell(Option<OrderId>, Report),
    /// The node has its new key: it is to be challenged under it.
    HasKey,
    /// The node does not know the token: it is to be challenged.
    Challenge,
}

impl Orders {
    /// Takes an order; `runs` is what the node runs, if it said so.
    pub(super) fn take(
        &mut self,
        id: Option<OrderId>,
        request: Request,
        runs: Option<Firmware>,
        now: Instant,
    ) -> Result<(), NotTaken> {
        let size = match &request {
            Request::Configure(settings) => Some((settings.len(), 1..=SETTINGS_BYTES)),
            Request::Update { image, .. } => Some((image.len(), MANIFEST_BYTES + 1..=LARGEST_IMAGE)),
            _ => None,
        };
        if size.as_ref().is_some_and(|(bytes, fit)| !fit.contains(bytes)) {
            return Err(NotTaken::Size);
        }
        if self.queue.len() >= MOST_WAITING {
            return Err(NotTaken::Full);
        }
        let step = match &request {
            // The gateway was restarted while the image was on trial.
            Request::Update { firmware, .. } if runs == Some(*firmware) => Step::Proof,
            _ if size.is_some() => Step::Begin,
            _ => Step::Say,
        };
        self.queue.push_back(Job { id, request, step, number: 0, sent: false, moved: now, not_before: now });
        Ok(())
    }

    /// How many wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// When the first order is given up unless it moves.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.queue.iter().map(Job::gives_up_at).min()
    }

    /// What is to be said now, with its number.
    pub(super) fn next(&mut self, now: Instant) -> Option<(u32, Task)> {
        let job = self.queue.front_mut().filter(|job| job.not_before <= now)?;
        let task = job.task()?;
        if !job.sent {
            (job.number, job.sent) = (self.numbers, true);
            self.numbers += 1;
        }
        // Until it is answered.
        job.not_before = now + AGAIN_AFTER;
        Some((job.number, task))
    }

    /// A node answered.
    pub(super) fn answered(&mut self, number: u32, result: Result<Done, Refusal>, now: Instant) -> Moved {
        let Some(job) = self.queue.front_mut().filter(|job| job.sent && job.number == number) else {
            return Moved::On;
        };
        let (id, of) = (job.id, job.bytes().map_or(0, |bytes| bytes.len() as u32));
        match (job.step, result) {
            (_, Ok(Done::Working)) => {
                job.moved = now;
                Moved::On
            }
            (_, Err(Refusal::Stale)) => {
                job.again(now);
                Moved::Challenge
            }
            // The node restarted since the transfer began.
            (Step::Block(_) | Step::Finish, Err(Refusal::NoTransfer | Refusal::Incomplete)) => {
                job.to(Step::Begin, now);
                Moved::On
            }
            (Step::Begin | Step::Block(_), Ok(Done::Has(has))) => {
                let from = if let Step::Block(from) = job.step { from } else { u32::MAX };
                // A block that was already there is no progress.
                let moved = if has > from || from == u32::MAX { now } else { job.moved };
                job.to(if has < of { Step::Block(has) } else { Step::Finish }, now);
                job.moved = moved;
                Moved::Tell(id, Report::Progress { has: has.min(of), of })
            }
            (Step::Finish, Ok(Done::Done)) => {
                let next = if matches!(job.request, Request::Configure(_)) { Step::Trial } else { Step::Restart };
                job.to(next, now);
                Moved::On
            }
            (Step::Restart, Ok(Done::Done)) => {
                job.to(Step::Back, now);
                Moved::On
            }
            (Step::Say, Ok(Done::Done)) if matches!(job.request, Request::Restart) => {
                job.to(Step::Back, now);
                Moved::On
            }
            (Step::Say, Ok(Done::Done)) if matches!(job.request, Request::Rotate(_)) => {
                job.to(Step::Key, now);
                Moved::HasKey
            }
            (Step::Say | Step::Confirm | Step::Proof, Ok(Done::Done)) => self.end(Report::Done),
            (Step::Say, Ok(Done::Tested(findings))) => self.end(Report::Tested(findings)),
            // The answer of a step that is over.
            (_, Ok(_)) => Moved::On,
            (_, Err(why)) => self.end(Report::Refused(why)),
        }
    }

    /// The settings that an answer with this number is to confirm.
    pub(super) fn confirms(&self, number: u32) -> Option<SettingsState> {
        let job = self.queue.front().filter(|job| job.sent && job.number == number && job.step == Step::Confirm)?;
        let digest = blake3::hash(job.bytes()?);
        digest.as_bytes().first_chunk().map(|first| SettingsState::Told(u64::from_le_bytes(*first)))
    }

    /// The node ended a usual turn: it can be reached under the settings on trial.
    pub(super) fn reached(&mut self, now: Instant) {
        if let Some(job) = self.queue.front_mut().filter(|job| job.step == Step::Trial) {
            job.to(Step::Confirm, now);
        }
    }

    /// The node proved itself, in a boot that is new or not.
    pub(super) fn proven(&mut self, new_boot: bool, runs: Firmware, now: Instant) -> Moved {
        let Some(job) = self.queue.front_mut() else { return Moved::On };
        match &job.request {
            Request::Update { firmware, .. } if *firmware == runs => {
                job.to(Step::Proof, now);
                return Moved::On;
            }
            Request::Update { .. } if job.step == Step::Proof => return self.end(Report::RunsOther(runs)),
            _ => {}
        }
        let was_told = job.step == Step::Back || job.sent && (job.step == Step::Restart || job.is_restart());
        if new_boot && was_told {
            return match &job.request {
                Request::Update { .. } => self.end(Report::RunsOther(runs)),
                _ => self.end(Report::Done),
            };
        }
        if new_boot && matches!(job.step, Step::Trial | Step::Confirm) {
            // It restarted and so took the settings back.
            job.to(Step::Begin, now);
        }
        if job.step == Step::Key {
            // It answered under the former key: the challenge under the new one got lost.
            return Moved::HasKey;
        }
        if job.step != Step::Back {
            job.again(now);
        }
        Moved::On
    }

    /// The node used its new key.
    pub(super) fn rotated(&mut self) -> Moved {
        let at = self.queue.iter().position(|job| matches!(job.request, Request::Rotate(_)));
        match at.and_then(|at| self.queue.remove(at)) {
            Some(job) => Moved::Tell(job.id, Report::Done),
            None => Moved::On,
        }
    }

    /// Whether the node said that it has the new key, and is to show it.
    pub(super) fn has_key(&self) -> bool {
        self.queue.front().is_some_and(|job| job.step == Step::Key)
    }

    /// Whether a new key is on its way.
    pub(super) fn rotates(&self) -> bool {
        self.queue.iter().any(|job| matches!(job.request, Request::Rotate(_)))
    }

    /// The first order that got no further for too long is given up.
    pub(super) fn give_up(&mut self, now: Instant) -> Option<Option<OrderId>> {
        let late = self.queue.iter().position(|job| job.gives_up_at() <= now)?;
        self.queue.remove(late).map(|job| job.id)
    }

    /// All orders are over.
    pub(super) fn withdraw(&mut self) -> impl Iterator<Item = OrderId> {
        std::mem::take(&mut self.queue).into_iter().filter_map(|job| job.id)
    }

    fn end(&mut self, report: Report) -> Moved {
        let id = self.queue.pop_front().and_then(|job| job.id);
        Moved::Tell(id, report)
    }
}

impl Job {
    fn to(&mut self, step: Step, now: Instant) {
        (self.step, self.sent, self.moved, self.not_before) = (step, false, now, now);
    }

    /// Its order may be said again at once.
    fn again(&mut self, now: Instant) {
        self.not_before = now;
    }

    fn is_restart(&self) -> bool {
        matches!(self.request, Request::Restart)
    }

    /// What goes in blocks.
    fn bytes(&self) -> Option<&[u8]> {
        match &self.request {
            Request::Configure(settings) => Some(settings),
            Request::Update { image, .. } => image.get(MANIFEST_BYTES..),
            _ => None,
        }
    }

    fn gives_up_at(&self) -> Instant {
        let is_long = matches!(self.request, Request::Update { .. } | Request::Rotate(_));
        self.moved + if is_long { LONG_PATIENCE } else { PATIENCE }
    }

    fn task(&self) -> Option<Task> {
        Some(match (self.step, &self.request) {
            (Step::Say, Request::Identify { seconds }) => Task::Identify { seconds: *seconds },
            (Step::Say, Request::SelfTest) => Task::SelfTest,
            (Step::Say, Request::Restart) | (Step::Restart, _) => Task::Restart,
            (Step::Say, Request::Rotate(key)) => Task::Rekey(NewKey(key.bytes())),
            (Step::Begin, Request::Configure(settings)) => Task::Begin(Transfer::Settings {
                length: u16::try_from(settings.len()).ok()?,
                digest: *blake3::hash(settings).as_bytes(),
            }),
            (Step::Begin, Request::Update { image, .. }) => {
                // As long as the array takes.
                Task::Begin(Transfer::Image { manifest: image.iter().copied().take(MANIFEST_BYTES).collect() })
            }
            (Step::Block(offset), _) => {
                let bytes = self.bytes()?.get(offset as usize..)?.chunks(BLOCK_BYTES).next()?;
                Task::Block { offset, bytes: bytes.iter().copied().collect() }
            }
            (Step::Finish, _) => Task::Finish,
            (Step::Confirm, _) => Task::Confirm,
            (Step::Proof, _) => Task::ImageTrial,
            (Step::Trial | Step::Back | Step::Key, _) => return None,
            // Long ones begin with a beginning, short ones have none.
            (Step::Say | Step::Begin, _) => return None,
        })
    }
}
