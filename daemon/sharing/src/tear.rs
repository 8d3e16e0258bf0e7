//! Tear lines: what a recipient that may have none of the evidence is told instead of nothing.
//!
//! Everything in such a product but kind, zone, time and reference was written down beforehand, so it cannot tell what the
//! evidence is: severity is the line's own, certainty is always *possible*, times are whole minutes, and a change of what is
//! known is not said. It is told when the situation begins and when it ends.

use crate::{
    Context, Decision, Release, Told,
    product::handling,
    words::{local_time, reference, rfc3339},
};
use quaywatch_schemas::{
    Product, RecipientId, Situation, WallTime,
    policy::{Recipient, TearLine},
    product::ZoneName,
    situation::{Certainty, Phase, Urgency},
};

/// The line that this recipient may be told of the situation, if there is one.
pub(crate) fn line<'a>(
    recipient: &Recipient,
    kind: &str,
    zone: &quaywatch_schemas::ZoneId,
    context: &Context<'a>,
) -> Option<&'a TearLine> {
    let lines = context.policy.tear_lines.iter().filter(|line| line.fits(kind, zone));
    lines.into_iter().find(|line| crate::permits(context, &line.marking, recipient).is_ok())
}

/// The product made of it, or that the recipient knows already.
pub(crate) fn build(
    line: &TearLine,
    (recipient_id, recipient): (&RecipientId, &Recipient),
    situation: &Situation,
    context: &Context<'_>,
) -> Decision {
    let phase = match (situation.phase, context.told) {
        (Phase::Opened | Phase::Revised, Some(_)) => return Decision::Unchanged,
        (Phase::Opened | Phase::Revised, None) => Phase::Opened,
        (phase, _) => phase,
    };
    let zone = context.site.zones.get(&situation.zone);
    let zone_name = zone.map_or_else(|| situation.zone.to_string(), |zone| zone.name.clone());
    let begin = minute(situation.from);
    let (place, at) = (zone_name.replace(',', ""), local_time(begin, &context.site.timezone));
    let text = match (phase, context.told) {
        (Phase::Retracted, _) => format!("{place}: withdrawn, at {at} local: {} Nothing needs to be done.", line.text),
        (Phase::Closed, Some(_)) => format!("{place}: over, since {at} local: {}", line.text),
        _ => format!("{place}: at {at} local: {}", line.text),
    };
    let revision = context.told.map_or(1, |told| told.revision + 1);
    let mut shown = [0; 16];
    shown.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    let product = Product {
        reference: reference(
            recipient_id,
            recipient,
            context.policy,
            context.site,
            &situation.id,
            context.reference_key,
        ),
        revision,
        phase,
        supersedes: context.told.map(|told| told.revision),
        status: situation.status,
        late: context.late,
        kind: situation.kind.clone(),
        severity: line.severity,
        urgency: if phase == Phase::Opened { Urgency::Expected } else { Urgency::Past },
        certainty: Certainty::Possible,
        probability: None,
        grading: None,
        zone: ZoneName { id: situation.zone.to_string(), name: zone_name },
        from: rfc3339(begin),
        until: None,
        time_quality: situation.clock,
        text,
        facts: Vec::new(),
        assessment: None,
        alternatives: Vec::new(),
        action: None,
        subjects: Vec::new(),
        prior: None,
        evidence: Vec::new(),
        capped: Vec::new(),
        missing: Vec::new(),
        media: Vec::new(),
        handling: handling(&line.marking, &[&line.marking.owner].into(), recipient, situation),
        told: Vec::new(),
        not_told: Vec::new(),
        answer_by: None,
        rule: None,
        model: None,
    };
    let told = Told { revision, shown, phase, certainty: Certainty::Possible, probability: 0.0 };
    Decision::Release(Box::new(Release {
        tlp: line.marking.tlp,
        security_level: situation.security_level,
        time: rfc3339(minute(situation.concluded_wall)),
        told,
        product,
    }))
}

fn minute(at: WallTime) -> WallTime {
    const MINUTE: i64 = 60_000_000_000;
    WallTime(at.0.div_euclid(MINUTE) * MINUTE)
}
