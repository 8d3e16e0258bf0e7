//! Who may know what: one situation in, one product per recipient out.
//!
//! [`decide`] is default deny. A recipient gets a product only if its kind and zone are the recipient's and at least one
//! piece of evidence is releasable to it: marked no higher than its clearance, for its organisation (or a group it is in),
//! for a purpose it has. The product is then built *up* from that evidence and from the classes of field the recipient may
//! see; nothing is taken out of a full view, so nothing can be forgotten in it.
//!
//! If some evidence is not releasable, probability and certainty are computed again from what is, identities are shown only
//! if nothing but releasable sensors read them, and the facts and alternatives, which are sentences about all of it, are left
//! out, as they are if a sensor read an identity that is not releasable. What a product rests on has one purpose: information for different purposes never meets in it.
//!
//! **Sharing knows no sensor's meaning, no rule and no network; it cannot make a situation, only make less of one.**

pub mod acts;
mod matrix;
pub mod processing;
mod product;
pub mod signing;
mod tear;
mod why;
mod words;

pub use matrix::{Cell, who_gets_what};
pub use why::{Why, why};
pub use words::{mask, reference};

use quaywatch_schemas::{
    CloudEvent, OrganisationId, Policy, Product, Purpose, RecipientId, SensorId, Site, Situation, WallTime,
    marking::{Marking, Releasable, Tlp},
    policy::Recipient,
    product::product_type,
    situation::{Certainty, Evidence, Phase, score},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a decision rests on beside the situation.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Who may know what.
    pub policy: &'a Policy,
    /// Names, time zone and footage links.
    pub site: &'a Site,
    /// What this recipient was told of this situation before.
    pub told: Option<&'a Told>,
    /// Who else was told of it.
    pub others_told: &'a [RecipientId],
    /// Keys references and pseudonyms.
    pub reference_key: &'a [u8; 32],
    /// Whether it is told after the fact.
    pub late: bool,
    /// When it is decided, on the clock people read: agreements begin and end.
    pub now: WallTime,
}

/// What comes of a situation for one recipient.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It gets this.
    Release(Box<Release>),
    /// It knows already: nothing it may see has changed by enough to say it again.
    Unchanged,
    /// It gets nothing.
    Withhold(Withheld),
}

/// A product and what its envelope needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The recipient's view.
    pub product: Product,
    /// What to remember for the next decision on the same situation.
    pub told: Told,
    /// Most restricted marking of anything in it.
    pub tlp: Tlp,
    /// ISPS level it was concluded under.
    pub security_level: u8,
    /// When it was concluded, RFC 3339 UTC.
    pub time: String,
}

/// What a recipient was told of a situation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Its own count of products.
    pub revision: u32,
    /// Digest of everything it was shown but numbers that may drift.
    pub shown: [u8; 16],
    /// Phase it was told.
    pub phase: Phase,
    /// Certainty word it was told.
    pub certainty: Certainty,
    /// Probability its view rests on.
    pub probability: f64,
}

/// Why a recipient gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Withheld {
    /// The sharing file has no such recipient.
    UnknownRecipient,
    /// It did not ask for this kind.
    OtherKinds,
    /// The zone is not its own.
    OtherZones,
    /// No sensor concerned has a marking.
    NoMarking,
    /// Everything is marked above its clearance.
    AboveClearance,
    /// Nothing is releasable to its organisation.
    NotReleasable,
    /// It was releasable under an agreement that has not begun or is over.
    NoAgreement,
    /// It has none of the purposes the information may be used for.
    OtherPurpose,
    /// What is releasable to it does not bear the conclusion.
    TooLittleLeft,
    /// It was never told of the opening, so there is nothing to close.
    NeverTold,
}

impl std::fmt::Display for Withheld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UnknownRecipient => "no such recipient",
            Self::OtherKinds => "kind not among its kinds",
            Self::OtherZones => "zone not among its zones",
            Self::NoMarking => "no marking covers the sensors",
            Self::AboveClearance => "marked above its clearance",
            Self::NotReleasable => "not releasable to its organisation",
            Self::NoAgreement => "the agreement it would be released under is not in force",
            Self::OtherPurpose => "none of its purposes",
            Self::TooLittleLeft => "what is releasable to it does not bear the conclusion",
            Self::NeverTold => "it was never told of the opening",
        })
    }
}

/// Decides what one recipient is told of a situation.
pub fn decide(recipient_id: &RecipientId, situation: &Situation, context: &Context<'_>) -> Decision {
    let Some(recipient) = context.policy.recipients.get(recipient_id) else {
        return Decision::Withhold(Withheld::UnknownRecipient);
    };
    let view = View::of(recipient_id, recipient, situation, context);
    // An ending nobody was told the beginning of is nobody's business.
    let never_told = context.told.is_none() && is_only_an_end(situation);
    let reason = match view {
        Ok(_) if never_told => Withheld::NeverTold,
        Ok(view) if view.says_too_little() => Withheld::TooLittleLeft,
        Ok(view) => return product::build(&view, context),
        Err(reason) => reason,
    };
    let concerned = !never_told && !matches!(reason, Withheld::OtherKinds | Withheld::OtherZones);
    match tear::line(recipient, &situation.kind, &situation.zone, context).filter(|_| concerned) {
        Some(line) => tear::build(line, (recipient_id, recipient), situation, context),
        None => Decision::Withhold(reason),
    }
}

/// Whether this ends what was said before. A situation that ends at once is told at once.
fn is_only_an_end(situation: &Situation) -> bool {
    let at_once = situation.phase == Phase::Closed && situation.revision == 1;
    matches!(situation.phase, Phase::Closed | Phase::Retracted) && !at_once
}

/// A partial view below even odds says the opposite of the conclusion.
const LEAST_TOLD: f64 = 0.5;

/// Puts a release into its CloudEvents envelope.
pub fn envelope(
    release: &Release,
    source: (&str, &quaywatch_schemas::SiteId, &RecipientId),
    epoch_hex: &str,
    sequence: u64,
) -> CloudEvent<Product> {
    let (locode, site, recipient) = source;
    let product = release.product.clone();
    CloudEvent {
        specversion: "1.0".into(),
        kind: product_type(product.phase).into(),
        source: format!("/quaywatch/{locode}/{site}/{recipient}"),
        id: format!("{epoch_hex}.{sequence:020}"),
        sequence: Some(format!("{sequence:020}")),
        epoch: epoch_hex.into(),
        time: release.time.clone(),
        subject: Some(product.zone.id.clone()),
        datacontenttype: "application/json".into(),
        partitionkey: Some(format!("{locode}/{site}/{}", product.zone.id)),
        correlationid: Some(product.reference.clone()),
        tlp: Some(release.tlp),
        seclevel: Some(release.security_level),
        data: product,
    }
}

/// A situation as far as it is releasable to one recipient.
struct View<'a> {
    recipient_id: &'a RecipientId,
    recipient: &'a Recipient,
    situation: &'a Situation,
    evidence: Vec<&'a Evidence>,
    /// Whether everything that the sentences rest on is released: all evidence and every reader of an identity.
    whole: bool,
    owners: BTreeSet<&'a OrganisationId>,
    /// What holds for all of the evidence together.
    marking: Marking,
}

impl<'a> View<'a> {
    fn of(
        recipient_id: &'a RecipientId,
        recipient: &'a Recipient,
        situation: &'a Situation,
        context: &Context<'a>,
    ) -> Result<Self, Withheld> {
        if !recipient.wants(&situation.kind) {
            return Err(Withheld::OtherKinds);
        }
        if !recipient.covers(&situation.zone) {
            return Err(Withheld::OtherZones);
        }
        let mut released: Vec<(&Evidence, &Marking)> = Vec::new();
        // The reason nearest to a release is the most useful one to tell a security officer.
        let mut reason = Withheld::NoMarking;
        for piece in &situation.evidence {
            match releasable(recipient, &piece.sensor, context) {
                Ok(marking) => released.push((piece, marking)),
                Err(why) => reason = reason.max(why),
            }
        }
        // The purpose that most of it may be used for; of equals the one the recipient names first.
        let most = |purpose: &&Purpose| released.iter().filter(|(_, marking)| marking.purpose == **purpose).count();
        let purpose = recipient.purposes.iter().rev().max_by_key(most).ok_or(reason)?;
        released.retain(|(_, marking)| marking.purpose == *purpose);
        let evidence = released.iter().map(|(piece, _)| *piece).collect();
        let mut markings: Vec<&Marking> = released.iter().map(|(_, marking)| *marking).collect();
        let first = markings.first().copied().ok_or(reason)?.clone();
        // Sensors that are named beside the evidence, as silent or with footage, and those that read an identity, are
        // information too.
        let readers = || situation.subjects.iter().flat_map(|subject| &subject.identities).flat_map(|it| &it.read_by);
        let may_name = |sensor: &SensorId| {
            releasable(recipient, sensor, context).ok().filter(|marking| marking.purpose == *purpose)
        };
        let beside = situation.missing.iter().map(|missing| &missing.sensor);
        let beside = beside.chain(situation.media.iter().map(|(sensor, _)| sensor)).chain(readers());
        markings.extend(beside.filter_map(may_name));
        let whole = released.len() == situation.evidence.len() && readers().all(|sensor| may_name(sensor).is_some());
        let owners = markings.iter().map(|marking| &marking.owner).collect();
        let marking = markings.into_iter().fold(first, stricter);
        Ok(Self { recipient_id, recipient, situation, evidence, whole, owners, marking })
    }

    /// Whether some of the evidence is withheld.
    fn is_partial(&self) -> bool {
        self.evidence.len() < self.situation.evidence.len()
    }

    /// Whether what is left of it says the opposite of the conclusion. An end concludes nothing.
    fn says_too_little(&self) -> bool {
        self.is_partial() && !is_only_an_end(self.situation) && self.probability() < LEAST_TOLD
    }

    fn probability(&self) -> f64 {
        if !self.is_partial() {
            return self.situation.probability;
        }
        self.situation.calibration.probability(score(self.situation.prior, &self.evidence))
    }

    /// Whether a sensor may be named beside the evidence.
    fn may_name(&self, sensor: &SensorId, context: &Context<'_>) -> bool {
        releasable(self.recipient, sensor, context).is_ok_and(|marking| marking.purpose == self.marking.purpose)
    }

    /// Whether nothing but what may be named went into a value that these sensors read.
    fn may_know_read(&self, read_by: &[SensorId], context: &Context<'_>) -> bool {
        read_by.iter().all(|sensor| self.may_name(sensor, context)) && (self.whole || !read_by.is_empty())
    }
}

fn releasable<'a>(recipient: &Recipient, sensor: &SensorId, context: &Context<'a>) -> Result<&'a Marking, Withheld> {
    let marking = marking_of(context.policy, context.site, sensor).ok_or(Withheld::NoMarking)?;
    permits(context, marking, recipient).map(|()| marking)
}

/// Whether a recipient may have what has this marking.
fn permits(context: &Context<'_>, marking: &Marking, recipient: &Recipient) -> Result<(), Withheld> {
    may_have(context, &marking.releasable_to, &recipient.organisation)?;
    if marking.tlp > recipient.clearance {
        return Err(Withheld::AboveClearance);
    }
    if !recipient.purposes.contains(&marking.purpose) {
        return Err(Withheld::OtherPurpose);
    }
    Ok(())
}

/// A sensor's own marking, else its zone's, else the default. A sensor the site does not know has no zone, so nobody can say
/// that a stricter marking than the default would not cover it: it has its own or none.
fn marking_of<'a>(policy: &'a Policy, site: &Site, sensor: &SensorId) -> Option<&'a Marking> {
    let own = policy.markings.iter().find(|scoped| scoped.sensors.contains(sensor)).map(|scoped| &scoped.marking);
    own.or_else(|| {
        let zone = &site.sensors.get(sensor)?.zone;
        let scoped = policy.markings.iter().find(|scoped| scoped.zones.contains(zone));
        scoped.map(|scoped| &scoped.marking).or(policy.default_marking.as_ref())
    })
}

fn may_have(
    context: &Context<'_>,
    releasable_to: &[Releasable],
    organisation: &OrganisationId,
) -> Result<(), Withheld> {
    let mut reason = Withheld::NotReleasable;
    for to in releasable_to {
        match to {
            Releasable::Organisation(named) if named == organisation => return Ok(()),
            Releasable::Organisation(_) => {}
            Releasable::Group(group) => {
                let group = context.policy.groups.get(group);
                match group.filter(|group| group.organisations.contains(organisation)) {
                    Some(group) if group.holds(context.now) => return Ok(()),
                    Some(_) => reason = Withheld::NoAgreement,
                    None => {}
                }
            }
        }
    }
    Err(reason)
}

/// What holds for two pieces together: the higher marking, only those who may have both, the earlier deletion.
fn stricter(mut a: Marking, b: &Marking) -> Marking {
    a.tlp = a.tlp.max(b.tlp);
    a.releasable_to.retain(|to| b.releasable_to.contains(to));
    a.delete_after_days = a.delete_after_days.min(b.delete_after_days);
    a
}

#[cfg(test)]
mod tests;
