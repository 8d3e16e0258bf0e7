//! What people order of nodes, and what became of it.
//!
//! An order takes as long as its node does, and who gave it may leave: it goes on without them. A new key and a firmware
//! image outlive the gateway too: they are in the registry before the node hears of them, and go on from there.

use super::{Nodes, Refused, State, images, key_of, now, registry::Key, registry::Update};
use crate::{config::NodePlace, nodes::Entry};
use quaywatch_drivers::node_link::{NotTaken, Report, Request, Wish};
use quaywatch_schemas::{
    control::NodeAct,
    frame::{
        NodeKey,
        message::{Firmware, Refusal},
        settings::Settings,
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// What is said to who gave an order; the last word is the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// How far it is.
    Going(String),
    /// It is done.
    Done(String),
    /// It was not done, and why.
    Failed(String),
}

/// To who gave an order, if they still listen.
#[derive(Clone)]
pub struct Say(Option<mpsc::Sender<Word>>);

/// What is said and not read yet; how far it is, is not said beyond that.
const MOST_UNREAD: usize = 32;
/// An order is as far as the percentage says; said whenever it went on by so much.
const SAID_EVERY_PERCENT: u64 = 5;

impl Say {
    /// Somebody who listens, and what they hear.
    pub fn to_somebody() -> (Self, mpsc::Receiver<Word>) {
        let (say, heard) = mpsc::channel(MOST_UNREAD);
        (Self(Some(say)), heard)
    }

    /// Nobody asked.
    pub(super) fn to_nobody() -> Self {
        Self(None)
    }

    pub(super) fn going(&self, how: impl Into<String>) {
        if let Some(say) = &self.0 {
            // Who does not read fast enough misses some.
            let _ = say.try_send(Word::Going(how.into()));
        }
    }

    /// The end.
    pub async fn end(self, done: Result<String, Refused>) {
        let Some(say) = self.0 else { return };
        let word = match done {
            Ok(said) => Word::Done(said),
            Err(why) => Word::Failed(why.to_string()),
        };
        // They may have left.
        let _ = say.send(word).await;
    }
}

impl Nodes {
    /// Lets a node's lamp blink, so that a person finds it.
    pub async fn identify(&self, node: u16, seconds: u16, by: String, say: &Say) -> Result<String, Refused> {
        let place = self.trusted(node)?;
        self.record(&by, node, NodeAct::Identified).await?;
        let end = self.carry_out(node, &place, Request::Identify { seconds }, say).await?;
        match end {
            Some(Report::Done) if seconds == 0 => Ok(format!("node {node} does not blink any more")),
            Some(Report::Done) => Ok(format!("node {node} blinks for {seconds} s")),
            other => Err(not_done(node, other)),
        }
    }

    /// Lets a node work by other settings. It takes them back by itself if it cannot be reached under them.
    pub async fn configure(&self, node: u16, bytes: &[u8], by: String, say: &Say) -> Result<String, Refused> {
        let place = self.trusted(node)?;
        let settings = Settings::from_bytes(bytes).map_err(|why| Refused::NotSo(format!("the settings: {why}")))?;
        let bytes = settings.to_bytes();
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let act = |outcome: &str| NodeAct::Configured { digest: digest.clone(), outcome: outcome.into() };
        self.record(&by, node, act("ordered")).await?;
        let end = self.carry_out(node, &place, Request::Configure(bytes[..].into()), say).await;
        let done = match end {
            Ok(Some(Report::Done)) => Ok(format!("node {node} works by these settings")),
            Ok(other) => Err(not_done(node, other)),
            Err(why) => Err(why),
        };
        let outcome = done.as_ref().map_or_else(ToString::to_string, |_| "done".into());
        self.record(&by, node, act(&outcome)).await?;
        done
    }

    /// Gives a node a new key under its old one. Both hold until it has used the new one.
    pub async fn rotate(&self, node: u16, by: String, say: &Say) -> Result<String, Refused> {
        let place = self.trusted(node)?;
        if place.key.is_some() {
            let why = format!("the site file hands out the key of node {node}, so it cannot be changed here");
            return Err(Refused::NotSo(format!(
                "{why}: take `key` out of [nodes.{node}], then quaywatch node enrol {node}"
            )));
        }
        let key = Key::random().map_err(|why| Refused::Cannot(format!("no randomness from the system: {why}")))?;
        let request = Request::Rotate(node_key(&key)?);
        let told = {
            let _alone = self.0.acts.lock().await;
            if self.0.registry.entry(node).next_key.is_some() {
                return Err(Refused::NotSo(format!("node {node} is being given a new key already")));
            }
            self.record(&by, node, NodeAct::RotationBegan).await?;
            self.change(node, move |entry| entry.next_key = Some(key)).await?;
            let told = self.order(node, &place, request).await;
            if told.is_err() {
                // It never heard of it.
                self.change(node, |entry| entry.next_key = None).await?;
            }
            told?
        };
        say.going(format!("node {node} is told its new key"));
        match follow(told, say).await {
            Some(Report::Done) => {
                self.settle_rotation(node).await?;
                Ok(format!("node {node} has used its new key; the old one is gone"))
            }
            other => Err(Refused::Cannot(format!(
                "{}; both keys hold, and it is told again whenever it answers",
                not_done(node, other)
            ))),
        }
    }

    /// A node used its new key, as its bus says: the old one is gone.
    pub(super) async fn settle_rotation(&self, node: u16) -> Result<(), Refused> {
        let _alone = self.0.acts.lock().await;
        let is_used = self.standing(node).await.is_some_and(|standing| standing.rotated);
        if is_used && self.0.registry.entry(node).next_key.is_some() {
            self.record(GATEWAY, node, NodeAct::Rotated).await?;
            self.change(node, |entry| entry.key = entry.next_key.take().or(entry.key.take())).await?;
        }
        Ok(())
    }

    /// Gives a node a signed image to run. Its signature is the node's to verify, which has the keys for that.
    pub async fn update(&self, node: u16, file: &[u8], by: String, say: &Say) -> Result<String, Refused> {
        let place = self.trusted(node)?;
        let (manifest, _) = quaywatch_update::split(file).map_err(|why| Refused::NotSo(format!("the image: {why}")))?;
        let runs = self.standing(node).await.and_then(|standing| standing.runs);
        if let Some(runs) = runs.filter(|runs| runs.board != manifest.board() as u16) {
            let (wanted, board) = (manifest.board(), runs.board);
            return Err(Refused::NotSo(format!(
                "the image is for {wanted}, and node {node} is a board of kind {board}"
            )));
        }
        let (version, digest) = (manifest.version().0, blake3::hash(file).to_hex().to_string());
        {
            let _alone = self.0.acts.lock().await;
            if self.0.registry.entry(node).update.is_some() {
                return Err(Refused::NotSo(format!(
                    "an update of node {node} is under way: quaywatch node show {node}"
                )));
            }
            self.record(&by, node, NodeAct::UpdateOrdered { version, digest: digest.clone() }).await?;
            let (folder, name, file) = (self.0.registry.folder().to_owned(), digest.clone(), file.to_vec());
            images::keep(folder, name, file).await.map_err(Refused::Cannot)?;
            let update = Update { version, digest, at: now(), by };
            self.change(node, |entry| entry.update = Some(update)).await?;
        }
        self.go_on_with_update(node, &place, say).await
    }

    /// Begins or goes on with the update that the registry has for a node.
    pub(super) async fn go_on_with_update(&self, node: u16, place: &NodePlace, say: &Say) -> Result<String, Refused> {
        let Some(_under_way) = UnderWay::begin(&self.0.updating, node) else {
            return Err(Refused::NotSo(format!("the update of node {node} is under way already")));
        };
        let Some(update) = self.0.registry.entry(node).update else {
            return Err(Refused::NotSo(format!("there is no update for node {node}")));
        };
        let (folder, digest) = (self.0.registry.folder().to_owned(), update.digest.clone());
        let read = images::read(folder, digest).await;
        let outcome = match read.as_deref().map(quaywatch_update::split) {
            Ok(Ok((manifest, _))) => {
                let firmware = Firmware { board: manifest.board() as u16, version: manifest.version().0 };
                let image = read.unwrap_or_default().into();
                match self.carry_out(node, place, Request::Update { firmware, image }, say).await? {
                    Some(Report::Done) => Ok(format!("node {node} runs firmware {}", update.version)),
                    Some(Report::TimedOut) | None => {
                        return Err(Refused::Cannot(format!(
                            "node {node} got no further; the update goes on by itself when the node answers again"
                        )));
                    }
                    other => Err(not_done(node, other)),
                }
            }
            Ok(Err(why)) => Err(Refused::Cannot(format!("the kept image: {why}"))),
            Err(why) => Err(Refused::Cannot(why.clone())),
        };
        let _alone = self.0.acts.lock().await;
        let words = outcome.as_ref().map_or_else(ToString::to_string, |_| "it runs".into());
        self.record(&update.by, node, NodeAct::UpdateEnded { version: update.version, outcome: words }).await?;
        self.change(node, |entry| entry.update = None).await?;
        let is_wanted = |entry: &Entry| entry.update.as_ref().is_some_and(|other| other.digest == update.digest);
        if !self.0.registry.all().values().any(is_wanted) {
            images::forget(self.0.registry.folder().to_owned(), update.digest.clone()).await;
        }
        outcome
    }

    /// Where a node with a key that counts is.
    fn trusted(&self, node: u16) -> Result<NodePlace, Refused> {
        let place = self.place(node)?;
        match key_of(&self.0.registry.entry(node), &place) {
            Ok(_) => Ok(place),
            Err(State::Quarantined) => Err(Refused::NotSo(format!(
                "node {node} is in quarantine: look at it, then quaywatch node clear {node}"
            ))),
            Err(State::Revoked) => {
                Err(Refused::NotSo(format!("the key of node {node} was revoked: quaywatch node enrol {node}")))
            }
            Err(_) => Err(Refused::NotSo(format!("node {node} has no key: quaywatch node enrol {node}"))),
        }
    }

    async fn carry_out(
        &self,
        node: u16,
        place: &NodePlace,
        request: Request,
        say: &Say,
    ) -> Result<Option<Report>, Refused> {
        let told = self.order(node, place, request).await?;
        say.going(format!("node {node} is told"));
        Ok(follow(told, say).await)
    }

    async fn order(
        &self,
        node: u16,
        place: &NodePlace,
        request: Request,
    ) -> Result<watch::Receiver<Option<Report>>, Refused> {
        let not_running = || Refused::Cannot(format!("line {} does not run", place.line));
        let bus = self.0.buses.lock().unwrap_or_else(PoisonError::into_inner).get(&place.line).cloned();
        let (answer, taken) = oneshot::channel();
        let wish = Wish::Order { node, request, answer };
        bus.ok_or_else(not_running)?.send(wish).await.map_err(|_| not_running())?;
        taken.await.map_err(|_| not_running())?.map_err(|why| match why {
            NotTaken::Full | NotTaken::NotTrusted | NotTaken::Rotating => Refused::NotSo(format!("node {node}: {why}")),
            NotTaken::NoSuchNode | NotTaken::Size => Refused::Cannot(format!("node {node}: {why}")),
        })
    }
}

/// Who does what nobody ordered at this moment.
pub(super) const GATEWAY: &str = "the gateway";

/// As nodes and the link take it.
pub(super) fn node_key(key: &Key) -> Result<NodeKey, Refused> {
    let bytes = key.secret().as_key().ok_or_else(|| Refused::Cannot("a key is 64 hexadecimal digits".into()))?;
    Ok(NodeKey::new(bytes))
}

/// Says how far an order is until it ends; `None` if its bus stopped first.
async fn follow(mut told: watch::Receiver<Option<Report>>, say: &Say) -> Option<Report> {
    let mut said = 0;
    loop {
        let report = *told.borrow_and_update();
        match report {
            Some(Report::Progress { has, of }) => {
                let percent = u64::from(has) * 100 / u64::from(of.max(1));
                if percent >= said + SAID_EVERY_PERCENT || has == of && said < 100 {
                    said = percent;
                    say.going(format!("{has} of {of} bytes are there"));
                }
            }
            Some(end) => return Some(end),
            None => {}
        }
        told.changed().await.ok()?;
    }
}

fn not_done(node: u16, end: Option<Report>) -> Refused {
    match end {
        Some(Report::Refused(why)) => Refused::NotSo(format!("node {node} refused: {}", refusal(why))),
        Some(Report::RunsOther(Firmware { version, .. })) => Refused::NotSo(format!(
            "node {node} runs firmware {version}: the image did not start, or did not hear its gateway, and was taken back"
        )),
        Some(Report::TimedOut) => Refused::Cannot(format!(
            "node {node} did not answer for long; what it was told it may still do: quaywatch node show {node}"
        )),
        Some(Report::Withdrawn) => Refused::NotSo(format!("node {node} is not trusted any more")),
        Some(other) => Refused::Cannot(format!("node {node} answered {other:?}, which is no answer to that")),
        None => Refused::Cannot(format!("the line of node {node} was stopped before it answered")),
    }
}

/// Why a node does not do something, and what helps.
pub(super) fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::Unsupported => "its firmware cannot do that; build one that can and put it on the board with a probe",
        Refusal::Stale => "something newer was asked of it meanwhile; say it again",
        Refusal::Flash => {
            "its flash does not read or cannot be written; switch it off and on, enrol it again, and if that does not \
             help put another board there"
        }
        Refusal::TooLong => "it has no room for so many bytes; name fewer channels, or send a smaller image",
        Refusal::NoTransfer | Refusal::Incomplete => {
            "what was sent to it is not whole, perhaps because it restarted; say it again, and if that does not help \
             look at its supply and its line"
        }
        Refusal::BadDigest => "what came is not what was announced; say it again with the file as it was built",
        Refusal::BadSignature => {
            "the image is not signed with a key that it trusts; sign it with the key whose public half its firmware was \
             built with"
        }
        Refusal::WrongBoard => "the image is for another board; build it for the one that quaywatch node show names",
        Refusal::TooOld => "the image is older than the oldest that it may run; send a newer version",
        Refusal::BadSettings => {
            "its firmware cannot work by these settings: a channel is not on this board, or its firmware knows fewer \
             ways of sensing; check them against what firmware/README.md says of the board"
        }
        Refusal::NothingOnTrial => {
            "it took the settings back, because it was not reached under them in time; look at its line and say it again"
        }
        Refusal::OnTrial => {
            "what it runs is on trial itself; wait until it is kept or went back (quaywatch node show), then say it again"
        }
    }
}

/// A node whose update runs here; not any more when dropped.
struct UnderWay<'a> {
    all: &'a std::sync::Mutex<BTreeSet<u16>>,
    node: u16,
}

impl<'a> UnderWay<'a> {
    fn begin(all: &'a std::sync::Mutex<BTreeSet<u16>>, node: u16) -> Option<Self> {
        let is_new = all.lock().unwrap_or_else(PoisonError::into_inner).insert(node);
        is_new.then_some(Self { all, node })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_refuses_is_said_with_what_helps() {
        let all = [
            Refusal::Unsupported,
            Refusal::Stale,
            Refusal::Flash,
            Refusal::TooLong,
            Refusal::NoTransfer,
            Refusal::Incomplete,
            Refusal::BadDigest,
            Refusal::BadSignature,
            Refusal::WrongBoard,
            Refusal::TooOld,
            Refusal::BadSettings,
            Refusal::NothingOnTrial,
            Refusal::OnTrial,
        ];
        for why in all {
            let said = not_done(7, Some(Report::Refused(why))).to_string();
            let (reason, helps) = said.split_once("; ").unwrap_or_default();
            assert!(reason.starts_with("node 7 refused: ") && helps.contains(' '), "{why:?}: {said}");
            assert!(!said.contains(&format!("{why:?}")) && !said.contains("  "), "{why:?}: {said}");
        }
    }
}
