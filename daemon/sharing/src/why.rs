//! Why a recipient sees what it sees of a situation, in words that can be read to the recipient: they say which rule keeps
//! something back and never what is kept back, not even how much of it there is.

use crate::{Context, View, Withheld, releasable, tear};
use quaywatch_schemas::{
    FieldClass, RecipientId, SensorId, Situation,
    policy::{Recipient, Treatment},
    situation::{IdentityKind, Part},
};
use std::{collections::BTreeSet, fmt};

/// What there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Whether the recipient is told of it, and why not.
    pub told: Result<(), Withheld>,
    /// The sentence it gets instead.
    pub tear_line: Option<String>,
    /// Why some of the evidence is not for it; empty if all of it is.
    pub kept_back: BTreeSet<Withheld>,
    /// How each class of field that occurs in the situation is treated for it.
    pub fields: Vec<(FieldClass, Treatment)>,
}

/// Why a recipient sees what it sees, or nothing.
pub fn why(recipient_id: &RecipientId, situation: &Situation, context: &Context<'_>) -> Why {
    let nothing = |told, tear_line| Why { told: Err(told), tear_line, kept_back: BTreeSet::new(), fields: Vec::new() };
    let Some(recipient) = context.policy.recipients.get(recipient_id) else {
        return nothing(Withheld::UnknownRecipient, None);
    };
    let view = match View::of(recipient_id, recipient, situation, context) {
        Ok(view) if view.says_too_little() => Err(Withheld::TooLittleLeft),
        view => view,
    };
    let view = match view {
        Ok(view) => view,
        Err(why @ (Withheld::OtherKinds | Withheld::OtherZones)) => return nothing(why, None),
        Err(why) => {
            let line = tear::line(recipient, &situation.kind, &situation.zone, context);
            return nothing(why, line.map(|line| line.text.clone()));
        }
    };
    let mut kept_back: BTreeSet<Withheld> =
        sensors(situation).filter_map(|sensor| releasable(recipient, sensor, context).err()).collect();
    if !view.whole && kept_back.is_empty() {
        // Evidence for another purpose than the product's is kept out of it, although it is for this recipient.
        kept_back.insert(Withheld::OtherPurpose);
    }
    let fields = classes(recipient, situation, context);
    Why { told: Ok(()), tear_line: None, kept_back, fields }
}

/// Everything that is named in a situation or went into it.
fn sensors(situation: &Situation) -> impl Iterator<Item = &SensorId> {
    let readers = situation.subjects.iter().flat_map(|subject| &subject.identities).flat_map(|it| &it.read_by);
    situation.evidence.iter().map(|piece| &piece.sensor).chain(readers)
}

/// The classes that occur in what the recipient may have. One that only what is kept back has would tell of it.
fn classes(recipient: &Recipient, situation: &Situation, context: &Context<'_>) -> Vec<(FieldClass, Treatment)> {
    let mut occur = BTreeSet::from([FieldClass::Public, FieldClass::Operational, FieldClass::Method]);
    let may = |sensor: &SensorId| releasable(recipient, sensor, context).is_ok();
    for identity in situation.subjects.iter().flat_map(|subject| &subject.identities) {
        if identity.read_by.iter().all(may) {
            occur.insert(match identity.kind {
                IdentityKind::Handle => FieldClass::Identity,
                _ => FieldClass::QuasiIdentity,
            });
        }
    }
    if situation.media.iter().any(|(sensor, _)| may(sensor)) {
        occur.insert(FieldClass::Media);
    }
    if sensors(situation).all(may) {
        let phrases = situation.facts.iter().chain([&situation.headline, &situation.assessment]);
        phrases.for_each(|phrase| add(&phrase.0, &mut occur));
    }
    occur.into_iter().map(|class| (class, recipient.treatment(class))).collect()
}

fn add(parts: &[Part], occur: &mut BTreeSet<FieldClass>) {
    for part in parts {
        match part {
            Part::Value { class, .. } => drop(occur.insert(*class)),
            Part::Detail { class, parts } => {
                occur.insert(*class);
                add(parts, occur);
            }
            Part::Words(_) | Part::Time(_) => {}
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.told, &self.tear_line) {
            (Ok(()), _) => writeln!(f, "It is told of this.")?,
            (Err(why), None) => return writeln!(f, "It is told nothing of this: {why}."),
            (Err(why), Some(line)) => {
                return writeln!(f, "It is told nothing of this but its tear line ({line:?}): {why}.");
            }
        }
        if !self.kept_back.is_empty() {
            let reasons: Vec<String> = self.kept_back.iter().map(ToString::to_string).collect();
            writeln!(
                f,
                "Something that bears on it is kept back: {}. So it gets no facts and no alternatives, which are \
                 sentences about all of it, and a probability and certainty of what is left.",
                reasons.join("; ")
            )?;
        }
        for (class, treatment) in &self.fields {
            let how = match treatment {
                Treatment::Show if *class == FieldClass::Identity => "replaced by a pseudonym: a person is never shown",
                Treatment::Show => "shown",
                Treatment::Mask => "masked",
                Treatment::Pseudonym => "replaced by its organisation's pseudonym",
                Treatment::Drop => "left out",
            };
            writeln!(f, "  {:14} {how}", name(*class))?;
        }
        Ok(())
    }
}

/// A class as the sharing file has it.
fn name(class: FieldClass) -> &'static str {
    match class {
        FieldClass::Public => "public",
        FieldClass::Operational => "operational",
        FieldClass::QuasiIdentity => "quasi-identity",
        FieldClass::Identity => "identity",
        FieldClass::Source => "source",
        FieldClass::Method => "method",
        FieldClass::Media => "media",
    }
}
