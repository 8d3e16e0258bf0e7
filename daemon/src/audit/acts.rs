//! What a record of the log is in the journal.

use super::{chain, changes};
use quaywatch_schemas::{
    Control, PersonId, Policy, Site, WallTime,
    control::{NodeAct, OperatorAct, ReceivedAnswer, SignedAct},
    situation::IdentityKind,
};
use std::collections::BTreeMap;

/// Something for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub(super) act: String,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) details: BTreeMap<String, String>,
}

/// What was in force when a record came.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The site file's.
    pub site: Option<&'a Site>,
    /// The sharing file's; `None` before the first.
    pub policy: Option<&'a Policy>,
    /// The ISPS level.
    pub security_level: u8,
    /// Whether the gateway's last act was to stop.
    pub stopped: bool,
    /// The wall clock at the last entry.
    pub wall: WallTime,
}

/// Longest value of a detail, in characters: longer than any name or number of the files.
const MOST_CHARACTERS: usize = 256;
/// The gateway itself.
pub(super) const GATEWAY: &str = "gateway";

impl Act {
    pub(super) fn new(act: &str, who: &str, what: impl Into<String>) -> Self {
        Self { act: act.into(), who: cut(who), what: cut(&what.into()), details: BTreeMap::new() }
    }

    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.details.insert(name.into(), cut(&value.to_string()));
        self
    }

    /// What a control record is in the journal; nothing for what no person did and what decides nothing by itself.
    pub fn of(control: &Control, before: &Before<'_>) -> Vec<Self> {
        match control {
            Control::Started { build, boot } => vec![started(build, boot, before)],
            Control::Stopped => vec![Self::new("gateway.stopped", GATEWAY, "The gateway was asked to stop.")],
            Control::SiteApplied { site, digest } => {
                let applied = Self::new("site.applied", GATEWAY, applied("site", before.site.is_some()));
                let applied = applied.with("digest", hex(digest));
                [applied].into_iter().chain(changes::of_site(before.site, site)).collect()
            }
            Control::PolicyApplied { policy, digest } => policy_applied(policy, digest, before.policy),
            Control::SecurityLevel { level, by } => {
                let what = format!("The ISPS security level was set from {} to {level}.", before.security_level);
                let act = Self::new("level.set", by, what);
                vec![act.with("before", before.security_level).with("after", level)]
            }
            Control::Answer(answer) => vec![answered(answer)],
            Control::OperatorAct { by, act } => vec![operator(by, act)],
            Control::KeyMade { key } => {
                vec![Self::new("key.made", GATEWAY, "A sealing key was made.").with("key", key)]
            }
            Control::KeyDestroyed { key } => {
                let what = "A sealing key was destroyed: what it sealed is deleted.";
                vec![Self::new("key.destroyed", GATEWAY, what).with("key", key)]
            }
            Control::EpochBegan { epoch, reason } => {
                let act = Self::new("epoch.began", GATEWAY, "Recipients' streams were numbered anew.");
                vec![act.with("epoch", format!("{epoch:016x}")).with("reason", reason)]
            }
            Control::LogDamage { reason, bytes } => {
                let act = Self::new("log.damaged", GATEWAY, "Records of the log were lost.");
                vec![act.with("reason", reason).with("bytes", bytes)]
            }
            Control::RatesAdopted { by, model } => {
                let what = "Other rates and calibration were put in force.";
                let digest = serde_json::to_vec(model).map(|bytes| blake3::hash(&bytes).to_hex().to_string());
                vec![Self::new("rates.adopted", by, what).with("digest", digest.unwrap_or_default())]
            }
            Control::Node { by, node, act } => vec![node_act(by, *node, act)],
            Control::References(_) => Vec::new(),
        }
    }
}

fn started(build: &str, boot: &[u8; 16], before: &Before<'_>) -> Act {
    let what = match before.stopped {
        true => "The gateway started.",
        false if before.wall == WallTime::default() => "The gateway started with a new journal.",
        false => "The gateway started, and nobody had stopped it: it was killed, or its power failed.",
    };
    Act::new("gateway.started", GATEWAY, what).with("build", build).with("boot", hex(boot))
}

fn applied(file: &str, known: bool) -> String {
    match known {
        true => format!("A {file} file was applied; what it changes follows."),
        false => format!("A {file} file was applied; what was in force before is not known."),
    }
}

fn policy_applied(policy: &Policy, digest: &[u8; 32], before: Option<&Policy>) -> Vec<Act> {
    let signers: Vec<&str> = policy.signed_by.iter().map(|person| person.as_str()).collect();
    let who = if signers.is_empty() { GATEWAY.to_owned() } else { signers.join(" and ") };
    let applied = Act::new("sharing.applied", &who, applied("sharing", before.is_some())).with("digest", hex(digest));
    let applied = applied.with("signed_by", if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") });
    [applied].into_iter().chain(changes::of_policy(before, policy, &who)).collect()
}

fn answered(received: &ReceivedAnswer) -> Act {
    let word = format!("{:?}", received.answer.word).to_lowercase();
    // The reason is the answerer's own words and may name anybody.
    let act = Act::new("answer.given", received.recipient.as_str(), format!("A product was answered: {word}."));
    let act = act.with("product", &received.answer.product).with("revision", received.answer.revision);
    let act = act.with("word", word);
    match received.answer.verdict {
        Some(verdict) => act.with("verdict", format!("{verdict:?}").to_lowercase()),
        None => act,
    }
}

fn operator(by: &str, act: &OperatorAct) -> Act {
    match act {
        OperatorAct::Signed { id, signed_by, act, .. } => signed(by, id, signed_by, act),
        OperatorAct::Tapped { sensor } => {
            Act::new("sensor.tapped", by, format!("Sensor {sensor} was watched, raw and decoded."))
                .with("sensor", sensor)
        }
        OperatorAct::Reloaded { outcome } => {
            Act::new("files.reloaded", by, "The files were asked to be read again.").with("outcome", outcome)
        }
        OperatorAct::Explained { reference } => {
            Act::new("situation.explained", by, "The evidence of a situation was read.").with("reference", reference)
        }
        OperatorAct::ReadDeadLetters { line } => {
            let line = line.as_ref().map_or("all", |line| line.as_str());
            Act::new("dead-letters.read", by, "What could not be understood was read.").with("line", line)
        }
    }
}

/// What one person alone may not do. The reason is their own words and may name anybody: it is in the log, under the act's id.
fn signed(by: &str, id: &[u8; 16], signed_by: &[PersonId], act: &SignedAct) -> Act {
    let persons: Vec<&str> = signed_by.iter().map(PersonId::as_str).collect();
    let who = persons.join(" and ");
    let of = |act: Act, reference: &str, subject: &str, kind: &IdentityKind| {
        act.with("reference", reference).with("subject", subject).with("kind", format!("{kind:?}").to_lowercase())
    };
    let entry = match act {
        SignedAct::Revealed { reference, subject, kind } => {
            of(Act::new("value.revealed", &who, "One value of a situation was shown."), reference, subject, kind)
        }
        SignedAct::Held { reference, subject, kind, case, authority, until } => {
            let act = Act::new("value.held", &who, "One value of a situation is kept for a case.");
            let act = of(act, reference, subject, kind).with("case", case).with("authority", authority);
            act.with("until", chain::wall_text(*until))
        }
        SignedAct::Released { case } => {
            Act::new("value.released", &who, "What was kept for a case is deleted.").with("case", case)
        }
        SignedAct::SubjectReported => Act::new("subject.reported", &who, "All that is held on one plate was listed."),
    };
    entry.with("id", hex(id)).with("asked_by", by)
}

fn node_act(by: &str, node: u16, act: &NodeAct) -> Act {
    let (name, what, details): (_, _, Vec<(&str, String)>) = match act {
        NodeAct::Enrolled { chip, board, firmware, replaced } => (
            "node.enrolled",
            if *replaced { "was given a key in place of another" } else { "was given a key" },
            vec![("chip", chip.clone()), ("board", board.to_string()), ("firmware", firmware.to_string())],
        ),
        NodeAct::RotationBegan => ("node.rotation-began", "is to get another key", vec![]),
        NodeAct::Rotated => ("node.rotated", "uses another key", vec![]),
        NodeAct::Revoked => ("node.revoked", "lost its key: what speaks in its name is not it", vec![]),
        NodeAct::UpdateOrdered { version, digest } => (
            "node.update-ordered",
            "is to run another firmware",
            vec![("version", version.to_string()), ("digest", digest.clone())],
        ),
        NodeAct::UpdateEnded { version, outcome } => (
            "node.update-ended",
            "came to the end of an update",
            vec![("version", version.to_string()), ("outcome", outcome.clone())],
        ),
        NodeAct::Configured { digest, outcome } => {
            ("node.configured", "was sent settings", vec![("digest", digest.clone()), ("outcome", outcome.clone())])
        }
        NodeAct::Identified => ("node.identified", "was asked to show itself", vec![]),
        NodeAct::Quarantined { why } => {
            ("node.quarantined", "counts no more until a person has looked", vec![("why", why.clone())])
        }
        NodeAct::Cleared => ("node.cleared", "counts again", vec![]),
    };
    let act = Act::new(name, by, format!("Node {node} {what}.")).with("node", node);
    details.into_iter().fold(act, |act, (name, value)| act.with(name, value))
}

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
