//! Everything that changes a decision and is not an observation. Each takes effect at its position in the log and
//! nowhere else, which is what makes a replay the same replay.

use crate::{
    model::Model,
    names::{LineId, PersonId, RecipientId, SensorId},
    policy::Policy,
    record::PrivateField,
    reference::References,
    site::Site,
    situation::IdentityKind,
    time::WallTime,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A control record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Control {
    /// The gateway started: which engine decides from here on, and a fresh random boot id.
    Started { build: String, boot: [u8; 16] },
    /// A site file took effect.
    SiteApplied {
        #[serde(with = "self_describing")]
        site: Box<Site>,
        digest: [u8; 32],
    },
    /// A sharing file took effect.
    PolicyApplied {
        #[serde(with = "self_describing")]
        policy: Box<Policy>,
        digest: [u8; 32],
    },
    /// A system of record stated something.
    References(References),
    /// The authority set an ISPS security level (1 to 3).
    SecurityLevel { level: u8, by: String },
    /// A recipient answered.
    Answer(ReceivedAnswer),
    /// An operator did something to the live gateway.
    OperatorAct { by: String, act: OperatorAct },
    /// A sealing key was made.
    KeyMade { key: u32 },
    /// A sealing key was destroyed: what it sealed is deleted.
    KeyDestroyed { key: u32 },
    /// A new stream epoch began, and why.
    EpochBegan { epoch: u64, reason: String },
    /// Records were lost between two positions and why; nothing is ever lost silently.
    LogDamage { reason: String, bytes: u64 },
    /// A person put a frozen set of rates and calibration in force, in place of the one before.
    RatesAdopted { by: String, model: Box<Model> },
    /// Something was done to a sensor node, or was found out about who speaks in its name.
    Node {
        /// Who did it: a person at the admin socket, or the gateway itself.
        by: String,
        /// Its number on the bus.
        node: u16,
        #[serde(with = "self_describing")]
        act: Box<NodeAct>,
    },
    /// The gateway was asked to stop and does; one that starts without this before it was cut off.
    Stopped,
}

/// What was done to a node. Keys are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeAct {
    /// It was given a key over a wire that a person had to connect, and proved that it took it.
    Enrolled {
        /// What its chip calls itself, in hexadecimal digits.
        chip: String,
        /// For which board its firmware is.
        board: u16,
        /// The firmware's version.
        firmware: u32,
        /// Whether it took the place of a key that was there.
        #[serde(default)]
        replaced: bool,
    },
    /// A new key was made for it: both hold until it has used the new one.
    RotationBegan,
    /// It has used its new key: the old one is gone.
    Rotated,
    /// Its key is gone: who speaks in its name from here on is not it.
    Revoked,
    /// It is to run a firmware image.
    UpdateOrdered {
        /// The image's version.
        version: u32,
        /// BLAKE3 of the whole file, in hexadecimal digits.
        digest: String,
    },
    /// That came to an end, and how.
    UpdateEnded { version: u32, outcome: String },
    /// Settings were sent to it, and what it said.
    Configured { digest: String, outcome: String },
    /// It was asked to show itself.
    Identified,
    /// Two devices speak with its key: nothing in its name counts until a person has looked.
    Quarantined { why: String },
    /// A person has looked: it counts again.
    Cleared,
}

/// What an operator did to the live gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorAct {
    /// Watched a sensor's raw and decoded values.
    Tapped { sensor: SensorId },
    /// Asked for a reload; what came of it.
    Reloaded { outcome: String },
    /// Read a situation's explanation.
    Explained { reference: String },
    /// Read the dead letters of a line.
    ReadDeadLetters { line: Option<LineId> },
    /// Had something done that one person alone may not.
    Signed {
        /// The act's random id.
        id: [u8; 16],
        /// Whose signatures it had.
        signed_by: Vec<PersonId>,
        /// Why, in their words.
        reason: String,
        /// What; never a value.
        act: SignedAct,
    },
}

/// What two persons had done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignedAct {
    /// One value of one situation was shown.
    Revealed { reference: String, subject: String, kind: IdentityKind },
    /// One value of one situation is kept for a case, whatever retention says, until a moment.
    Held { reference: String, subject: String, kind: IdentityKind, case: String, authority: String, until: WallTime },
    /// What was kept for a case is deleted.
    Released { case: String },
    /// All that is held on one plate was listed.
    SubjectReported,
}

/// An answer and who gave it by which way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedAnswer {
    /// Whose stream it came back on.
    pub recipient: RecipientId,
    /// The answer's own idempotence key: product id, word and `at`.
    pub answer: crate::product::Answer,
    /// When the gateway took it.
    pub received: WallTime,
}

impl Control {
    pub(crate) fn visit_private(&mut self, visit: &mut dyn FnMut(PrivateField<'_>)) {
        if let Self::References(references) = self {
            references.visit_private(visit);
        }
    }
}

/// Files of people grow settings with every version. They lie in the log as JSON, whose fields have names, so that a log
/// written before a setting existed is still read: the setting has its default then.
mod self_describing {
    use alloc::{boxed::Box, vec::Vec};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned, ser};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_vec(value).map_err(ser::Error::custom)?;
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Box<T>, D::Error> {
        let text = Vec::<u8>::deserialize(deserializer)?;
        serde_json::from_slice(&text).map(Box::new).map_err(de::Error::custom)
    }
}
