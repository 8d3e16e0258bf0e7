//! Building one recipient's product from what it may see.

use crate::{
    Context, Decision, Release, Told, View, Withheld,
    words::{StandIns, local_time, reference, render, rfc3339, timestamp, treated},
};
use quaywatch_schemas::{
    FieldClass, OrganisationId, Product, SensorId, Situation, WallTime,
    marking::{Marking, Releasable},
    observation::NoData,
    policy::{Recipient, Treatment},
    product::{
        Grading, Handling, NotDisseminated, ProductAlternative, ProductEvidence, ProductEvidenceGroup, ProductMedia,
        ProductMissing, ProductSubject, ZoneName,
    },
    situation::{Certainty, IdentityKind, Phase, Phrase, Side, Subject, capped_groups},
};
use std::collections::{BTreeMap, BTreeSet};

/// A change of probability that is worth saying again, to those who see it.
const WORTH_SAYING: f64 = 0.1;

/// Builds the product, or finds that it says nothing new.
pub(crate) fn build(view: &View<'_>, context: &Context<'_>) -> Decision {
    let probability = view.probability();
    let certainty = Certainty::of(probability);
    let product = product(view, context, probability, certainty);
    let shown = digest(&product);
    if let Some(told) = context.told {
        let same_phase = matches!((told.phase, product.phase), (Phase::Opened | Phase::Revised, Phase::Revised));
        let sees = view.shows(FieldClass::Method);
        let same_number = !sees || (told.probability - probability).abs() < WORTH_SAYING;
        if same_phase && told.certainty == certainty && told.shown == shown && same_number {
            return Decision::Unchanged;
        }
    }
    let told = Told { revision: product.revision, shown, phase: product.phase, certainty, probability };
    Decision::Release(Box::new(Release {
        tlp: view.marking.tlp,
        security_level: view.situation.security_level,
        time: rfc3339(view.situation.concluded_wall),
        told,
        product,
    }))
}

fn product(view: &View<'_>, context: &Context<'_>, probability: f64, certainty: Certainty) -> Product {
    let situation = view.situation;
    let (operational, method) = (view.shows(FieldClass::Operational), view.shows(FieldClass::Method));
    let key = context.reference_key;
    let stand_ins = view.stand_ins(context);
    let say = |phrase: &Phrase| render(phrase, view.recipient, &stand_ins);
    // Sentences about all of the evidence are for those who may have all of it; others get the two that say what it is
    // about at all, without a value in them.
    let whole = view.whole;
    let revision = context.told.map_or(1, |told| told.revision + 1);
    let phase = match (situation.phase, context.told) {
        (Phase::Revised, None) => Phase::Opened,
        (Phase::Opened, Some(_)) => Phase::Revised,
        (phase, _) => phase,
    };
    let zone = context.site.zones.get(&situation.zone);
    let zone_name = zone.map_or_else(|| situation.zone.to_string(), |zone| zone.name.clone());
    let action = situation
        .actions
        .iter()
        .find(|action| view.shows(action.needs) && (whole || action.needs == FieldClass::Public))
        .filter(|_| operational && situation.phase != Phase::Retracted);
    let text = text(view, context, &zone_name, certainty, action.map(|action| say(&action.brief)));
    Product {
        reference: reference(view.recipient_id, view.recipient, context.policy, context.site, &situation.id, key),
        revision,
        phase,
        supersedes: context.told.map(|told| told.revision),
        status: situation.status,
        late: context.late,
        kind: situation.kind.clone(),
        severity: situation.severity,
        urgency: situation.urgency,
        certainty,
        probability: method.then(|| rounded(probability, 3)),
        grading: method.then(|| grading(view)),
        zone: ZoneName { id: situation.zone.to_string(), name: zone_name },
        from: rfc3339(situation.from),
        until: situation.until.map(rfc3339),
        time_quality: situation.clock,
        text,
        facts: if operational && whole { situation.facts.iter().map(say).collect() } else { Vec::new() },
        assessment: operational.then(|| in_general(&situation.assessment, view, &stand_ins)),
        alternatives: if method && whole { alternatives(view, &say) } else { Vec::new() },
        action: action.map(|action| say(&action.text)),
        subjects: situation.subjects.iter().map(|about| subject(view, about, context)).collect(),
        prior: method.then(|| rounded(situation.prior, 2)),
        evidence: if method { evidence(view, &say) } else { Vec::new() },
        capped: if method { capped(view) } else { Vec::new() },
        missing: if operational { missing(view, context) } else { Vec::new() },
        media: if view.shows(FieldClass::Media) { media(view, context) } else { Vec::new() },
        handling: handling(&view.marking, &view.owners, view.recipient, situation),
        told: if method { told(view, context) } else { Vec::new() },
        not_told: if operational { not_told(view, context) } else { Vec::new() },
        answer_by: situation.answer_within.map(|within| rfc3339(situation.concluded_wall.after(within))),
        rule: method.then(|| situation.rule.clone()),
        model: method.then(|| situation.model.clone()),
    }
}

/// All that matters in a few sentences, as it would be read over a radio.
fn text(view: &View<'_>, context: &Context<'_>, zone: &str, certainty: Certainty, brief: Option<String>) -> String {
    let situation = view.situation;
    let place = zone.replace(',', "");
    let at = local_time(situation.from, &context.site.timezone);
    let headline = in_general(&situation.headline, view, &view.stand_ins(context));
    let mut text = match (situation.phase, context.told) {
        (Phase::Retracted, _) => {
            return format!("{place}: withdrawn: {headline} at {at} local. Nothing needs to be done.");
        }
        (Phase::Closed, Some(_)) => format!("{place}: over: {headline} at {at} local."),
        _ => format!("{place}: {headline} at {at} local. {certainty:?}."),
    };
    if let Some(brief) = brief {
        text.push(' ');
        text.push_str(&brief);
    }
    text
}

/// A sentence that even a recipient of a part gets: then with no value and no detail.
fn in_general(phrase: &Phrase, view: &View<'_>, stand_ins: &StandIns) -> String {
    if view.whole {
        return render(phrase, view.recipient, stand_ins);
    }
    render(phrase, &Recipient { fields: BTreeMap::new(), ..view.recipient.clone() }, stand_ins)
}

impl View<'_> {
    fn stand_ins(&self, context: &Context<'_>) -> StandIns {
        let organisation = &self.recipient.organisation;
        StandIns::of(organisation, &self.marking.purpose, self.situation.from, context.reference_key)
    }

    fn shows(&self, class: FieldClass) -> bool {
        self.recipient.treatment(class) == Treatment::Show
    }
}

/// Sensors start as F, *cannot be judged*, until verdicts say otherwise. Information is *probably true* (2) when two failure
/// domains speak for it independently, else *possibly true* (3).
fn grading(view: &View<'_>) -> Grading {
    let domains: BTreeSet<_> =
        view.evidence.iter().filter(|piece| piece.side == Side::For).map(|piece| &piece.domain).collect();
    Grading { source: "F".into(), information: if domains.len() >= 2 { "2" } else { "3" }.into() }
}

fn alternatives(view: &View<'_>, say: &impl Fn(&Phrase) -> String) -> Vec<ProductAlternative> {
    let all = view.situation.alternatives.iter();
    all.map(|other| ProductAlternative { text: say(&other.text), probability: rounded(other.probability, 3) }).collect()
}

/// A subject as far as it may be known: an identity only if a sensor that this recipient may have evidence of read it.
fn subject(view: &View<'_>, about: &Subject, context: &Context<'_>) -> ProductSubject {
    let stand_ins = view.stand_ins(context);
    let mut product = ProductSubject {
        role: about.role.clone(),
        plate: None,
        plate_confidence: None,
        plate_alternatives: Vec::new(),
        container: None,
        tag: None,
        pseudonym: None,
    };
    for identity in about.identities.iter().filter(|identity| view.may_know_read(&identity.read_by, context)) {
        let class = identity.kind.class();
        let value = treated(class, &identity.value, view.recipient, &stand_ins);
        match identity.kind {
            IdentityKind::Plate => {
                product.plate_confidence = (value.is_some() && view.shows(class) && view.shows(FieldClass::Method))
                    .then(|| rounded(identity.probability, 2));
                if view.shows(class) {
                    let others = identity.alternatives.iter();
                    product.plate_alternatives =
                        others.filter_map(|other| treated(class, other, view.recipient, &stand_ins)).collect();
                }
                product.plate = value;
            }
            IdentityKind::Container => product.container = value,
            IdentityKind::Tag => product.tag = value,
            IdentityKind::Handle => product.pseudonym = value,
        }
    }
    product
}

fn evidence(view: &View<'_>, say: &impl Fn(&Phrase) -> String) -> Vec<ProductEvidence> {
    let numbered = view.evidence.iter().zip(1..);
    numbered
        .map(|(piece, number)| ProductEvidence {
            reference: format!("e{number}"),
            sensor: piece.sensor.to_string(),
            said: say(&piece.said),
            weight: rounded(piece.weight, 2),
            domain: piece.domain.to_string(),
        })
        .collect()
}

/// Capped groups of what is released: a group of the whole says how much was withheld.
fn capped(view: &View<'_>) -> Vec<ProductEvidenceGroup> {
    let groups = capped_groups(&view.evidence).into_iter();
    groups
        .map(|group| ProductEvidenceGroup {
            domain: group.domain.to_string(),
            members: group.members.iter().map(|member| format!("e{}", member + 1)).collect(),
            before: rounded(group.before, 2),
            after: rounded(group.after, 2),
        })
        .collect()
}

fn missing(view: &View<'_>, context: &Context<'_>) -> Vec<ProductMissing> {
    let all = view.situation.missing.iter();
    all.filter(|missing| view.may_name(&missing.sensor, context))
        .map(|missing| {
            let since = missing.since.map(|since| format!(" since {}", minute(since))).unwrap_or_default();
            ProductMissing { sensor: missing.sensor.to_string(), why: format!("{}{since}", why(missing.why)) }
        })
        .collect()
}

fn media(view: &View<'_>, context: &Context<'_>) -> Vec<ProductMedia> {
    let template = context.site.zones.get(&view.situation.zone).and_then(|zone| zone.media.as_deref());
    let Some(template) = template else { return Vec::new() };
    let all = view.situation.media.iter();
    all.filter(|(sensor, _)| view.may_name(sensor, context))
        .map(|(_, footage)| {
            let seconds = |at: WallTime| at.0.div_euclid(1_000_000_000).to_string();
            let href = template
                .replace("{camera}", &footage.camera)
                .replace("{from}", &seconds(footage.from))
                .replace("{to}", &seconds(footage.to));
            ProductMedia {
                camera: footage.camera.clone(),
                from: rfc3339(footage.from),
                to: rfc3339(footage.to),
                href,
                available_until: None,
            }
        })
        .collect()
}

/// How something with this marking, which belongs to these, may be handled by this recipient.
pub(crate) fn handling(
    marking: &Marking,
    owners: &BTreeSet<&OrganisationId>,
    recipient: &Recipient,
    situation: &Situation,
) -> Handling {
    let own = &recipient.organisation;
    let named = marking.releasable_to.iter().any(|to| matches!(to, Releasable::Organisation(named) if named == own));
    let delete = situation
        .concluded_wall
        .after(core::time::Duration::from_secs(u64::from(marking.delete_after_days) * 24 * 3600));
    Handling {
        owner: owners.iter().map(|owner| owner.as_str()).collect::<Vec<_>>().join(", "),
        purpose: marking.purpose.to_string(),
        // The owner needs nobody's leave.
        releasable_to: if named && !owners.contains(own) { vec![own.to_string()] } else { Vec::new() },
        delete_by: timestamp(delete).map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string()),
    }
}

/// Who else was told, as far as this recipient may know: those whose organisation may have the same information.
fn told(view: &View<'_>, context: &Context<'_>) -> Vec<String> {
    let others = context.others_told.iter().filter(|other| *other != view.recipient_id);
    others
        .filter(|other| {
            context
                .policy
                .recipients
                .get(*other)
                .is_some_and(|other| crate::may_have(context, &view.marking.releasable_to, &other.organisation).is_ok())
        })
        .map(ToString::to_string)
        .collect()
}

/// Whom the situation concerns and who gets nothing of it, and why: only for who owns all of it.
fn not_told(view: &View<'_>, context: &Context<'_>) -> Vec<NotDisseminated> {
    let own = &view.recipient.organisation;
    let is_theirs = |sensor: &SensorId| {
        crate::marking_of(context.policy, context.site, sensor).is_some_and(|marking| marking.owner == *own)
    };
    if !view.situation.evidence.iter().all(|piece| is_theirs(&piece.sensor)) {
        return Vec::new();
    }
    let others = context.policy.recipients.iter().filter(|(id, _)| *id != view.recipient_id);
    others
        .filter_map(|(id, recipient)| {
            let why = match View::of(id, recipient, view.situation, context) {
                Ok(theirs) if theirs.says_too_little() => Withheld::TooLittleLeft,
                Ok(_) | Err(Withheld::OtherKinds | Withheld::OtherZones) => return None,
                Err(why) => why,
            };
            let only = crate::tear::line(recipient, &view.situation.kind, &view.situation.zone, context);
            let why = if only.is_some() { format!("{why}; its tear line only") } else { why.to_string() };
            Some(NotDisseminated { recipient: id.to_string(), why })
        })
        .collect()
}

/// Everything a recipient is shown, but what counts products and what drifts with every record.
fn digest(product: &Product) -> [u8; 16] {
    let stable = Product {
        revision: 0,
        supersedes: None,
        phase: Phase::Opened,
        late: false,
        probability: None,
        prior: None,
        evidence: Vec::new(),
        capped: Vec::new(),
        told: Vec::new(),
        not_told: Vec::new(),
        answer_by: None,
        alternatives: Vec::new(),
        grading: None,
        ..product.clone()
    };
    let bytes = serde_json::to_vec(&stable).expect("a product has no map with keys other than text");
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
    digest
}

fn why(why: NoData) -> String {
    match why {
        NoData::Silent => "silent".into(),
        NoData::Disconnected => "line down".into(),
        NoData::Timeout => "no answer".into(),
        NoData::Exception(code) => format!("device exception {code}"),
        NoData::BadValue => "impossible values".into(),
        NoData::Overload(_) => "overloaded".into(),
        NoData::Tampered => "tampered with".into(),
        NoData::Maintenance => "out of service".into(),
        NoData::Blind => "its view is covered".into(),
        NoData::Faulty => "says that it is broken".into(),
    }
}

fn minute(at: WallTime) -> String {
    timestamp(at).map_or_else(String::new, |at| at.strftime("%H:%M UTC").to_string())
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
