//! The record of processing: which streams lead to persons, why, to whom, for how long (GDPR article 30; input to an
//! assessment by article 35).

use crate::{Context, marking_of, releasable};
use quaywatch_schemas::{
    FieldClass, OrganisationId, Policy, Purpose, RecipientId, SensorId, Site, WallTime, ZoneId, policy::Treatment,
    site::Role,
};
use serde::Serialize;

/// One stream that has values about persons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stream {
    /// The sensor it comes from.
    pub sensor: SensorId,
    /// Where that is.
    pub zone: ZoneId,
    /// What it says that leads to a person.
    pub class: FieldClass,
    /// In words.
    pub what: &'static str,
    /// Whose information it is, and why it may be used; `None` if no marking covers it, and then nobody is told.
    pub owner: Option<(OrganisationId, Purpose)>,
    /// Who may be told of it, and how the value is shown to them.
    pub recipients: Vec<(RecipientId, OrganisationId, Treatment)>,
    /// Days after the day it was stored on, until its key is destroyed.
    pub kept_days: u16,
    /// Days after which a recipient must delete it.
    pub recipients_delete_after_days: Option<u16>,
}

/// Every stream of a site that has values about persons, by sensor. Who may be told can change with agreements: it is as of
/// a moment.
pub fn streams(policy: &Policy, site: &Site, now: WallTime) -> Vec<Stream> {
    let context = Context { policy, site, told: None, others_told: &[], reference_key: &[0; 32], late: false, now };
    let personal = site.sensors.iter().filter_map(|(id, sensor)| Some((id, sensor, about_persons(sensor.role)?)));
    personal
        .map(|(id, sensor, (class, what))| {
            let marking = marking_of(policy, site, id);
            let told = policy.recipients.iter().filter(|(_, recipient)| recipient.covers(&sensor.zone));
            let told = told.filter(|(_, recipient)| releasable(recipient, id, &context).is_ok());
            Stream {
                sensor: id.clone(),
                zone: sensor.zone.clone(),
                class,
                what,
                owner: marking.map(|marking| (marking.owner.clone(), marking.purpose.clone())),
                recipients: told
                    .map(|(to, recipient)| {
                        (to.clone(), recipient.organisation.clone(), shown(recipient.treatment(class), class))
                    })
                    .collect(),
                kept_days: policy.retention.days(class),
                recipients_delete_after_days: marking.map(|marking| marking.delete_after_days),
            }
        })
        .collect()
}

/// A person is never shown as anything but a stand-in.
fn shown(treatment: Treatment, class: FieldClass) -> Treatment {
    match treatment {
        Treatment::Show if class == FieldClass::Identity => Treatment::Pseudonym,
        other => other,
    }
}

/// What a sensor of a role says that leads to a person. Presence, positions and weights say of nobody who it was.
fn about_persons(role: Role) -> Option<(FieldClass, &'static str)> {
    Some(match role {
        Role::PlateFront | Role::PlateRear => (FieldClass::QuasiIdentity, "number plates of vehicles"),
        Role::Container => (FieldClass::QuasiIdentity, "codes of containers"),
        Role::Tag => (FieldClass::QuasiIdentity, "tags of vehicles"),
        Role::Reader | Role::Grant => (FieldClass::Identity, "badges of persons"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{policy, site};

    #[test]
    fn every_stream_that_leads_to_a_person_says_why_to_whom_and_for_how_long() {
        let (policy, site) = (policy(), site());
        let streams = streams(&policy, &site, WallTime(0));
        let plates: Vec<&Stream> = streams.iter().filter(|stream| stream.what.starts_with("number plates")).collect();
        assert!(!plates.is_empty());
        for stream in plates {
            let (owner, purpose) = stream.owner.as_ref().expect("the default marking covers it");
            assert_eq!((owner.as_str(), purpose.as_str()), ("acme-terminal", "port-facility-security"));
            assert_eq!((stream.kept_days, stream.recipients_delete_after_days), (28, Some(28)));
            let shown = |name: &str| {
                stream.recipients.iter().find(|(to, ..)| to.as_str() == name).map(|(_, _, treatment)| *treatment)
            };
            assert_eq!(shown("port-police"), Some(Treatment::Show));
            assert_eq!(shown("gate-desk"), Some(Treatment::Mask));
        }
        let loops = site.sensors.iter().filter(|(_, sensor)| sensor.role == Role::LoopExit);
        assert!(loops.count() > 0 && streams.iter().all(|stream| stream.sensor.as_str() != "loop-b"));
        // Nobody may have what no marking covers, and the record says so.
        let unmarked = Policy { default_marking: None, markings: Vec::new(), ..policy };
        assert!(
            super::streams(&unmarked, &site, WallTime(0))
                .iter()
                .all(|stream| stream.owner.is_none() && stream.recipients.is_empty())
        );
    }
}
