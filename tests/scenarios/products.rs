//! What two recipients get of one tailgating: the whole way from signals to products, against literal JSON beside it.
//!
//! The port police see plates, evidence and footage; the gate desk sees what to do and masked plates. The files are read by
//! people who ask what a product looks like, so they are compared as they stand.

use crate::{engine, script::Scenario};
use quaywatch_schemas::{
    CloudEvent, Control, FieldClass, GroupId, OrganisationId, Policy, Product, Purpose, RecipientId, Record, Site,
    ZoneId,
    marking::{Marking, Releasable, Tlp},
    policy::{Confirm, Group, KindPattern, Recipient, Treatment},
    situation::Phase,
};
use quaywatch_sharing::{Context, Decision, Told, decide, envelope};
use std::{collections::BTreeMap, fs, path::Path};

const RECIPIENTS: [&str; 2] = ["gate-desk", "port-police"];

#[test]
fn a_tailgating_as_two_recipients_get_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/tailgating");
    let text = fs::read_to_string(folder.join("alarm-second-truck-on-one-grant.txt")).unwrap();
    let scenario = Scenario::parse(&text, "tailgating").unwrap();
    let told = disseminate(&scenario);
    for recipient in RECIPIENTS {
        let events = &told[recipient];
        let phases: Vec<Phase> = events.iter().map(|event| event.data.phase).collect();
        // Who may not know that the follower came over the first loop by itself is not told anew when that is known.
        let [Phase::Opened, between @ .., Phase::Closed] = phases.as_slice() else { panic!("{recipient}: {phases:?}") };
        assert!(between.iter().all(|phase| *phase == Phase::Revised) && !between.is_empty(), "{recipient}: {phases:?}");
        let came = serde_json::to_string_pretty(&events[between.len()]).unwrap();
        let file = folder.join(format!("{recipient}.json"));
        if std::env::var_os("SCENARIOS").is_some_and(|wish| wish == "write") {
            fs::write(&file, format!("{came}\n")).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap();
        assert_eq!(came, expected.trim_end(), "{recipient}");
    }
    let [desk, police] = RECIPIENTS.map(|recipient| &told[recipient][1]);
    assert_eq!(desk.correlationid, police.correlationid, "members of a group can talk to each other about it");
    let desk = serde_json::to_string(&told["gate-desk"]).unwrap();
    for withheld in ["BRV", "KLB", "KL8", "loop-b", "0.9", "e1", "vms.acme", "rear"] {
        assert!(!desk.contains(withheld), "{withheld} in {desk}");
    }
}

/// What every recipient is sent, in order.
pub fn disseminate(scenario: &Scenario) -> BTreeMap<&'static str, Vec<CloudEvent<Product>>> {
    let site = scenario.records.iter().find_map(|record| match &record.record {
        Record::Control(Control::SiteApplied { site, .. }) => Some(site.as_ref().clone()),
        _ => None,
    });
    let (site, policy): (Site, Policy) = (site.unwrap(), policy());
    let mut told: BTreeMap<&'static str, Told> = BTreeMap::new();
    let mut sent: BTreeMap<&'static str, Vec<CloudEvent<Product>>> = BTreeMap::new();
    for situation in engine::play(scenario) {
        for name in RECIPIENTS {
            let recipient = RecipientId::new(name).unwrap();
            let others: Vec<RecipientId> =
                told.keys().filter(|other| **other != name).map(|other| RecipientId::new(other).unwrap()).collect();
            let context = Context {
                policy: &policy,
                site: &site,
                told: told.get(name),
                others_told: &others,
                reference_key: &[9; 32],
                late: false,
                now: situation.concluded_wall,
            };
            let Decision::Release(release) = decide(&recipient, &situation, &context) else { continue };
            let events = sent.entry(name).or_default();
            let number = events.len() as u64 + 1;
            events.push(envelope(&release, (&site.locode, &site.id, &recipient), "3f", number));
            told.insert(name, release.told);
        }
    }
    sent
}

/// `sharing.toml` of the example in the issue, resolved.
fn policy() -> Policy {
    let organisation = |name: &str| OrganisationId::new(name).unwrap();
    let purpose = Purpose::new("port-facility-security").unwrap();
    let recipient = |name: &str, fields: &[(FieldClass, Treatment)]| Recipient {
        organisation: organisation(name),
        clearance: Tlp::Amber,
        purposes: vec![purpose.clone()],
        zones: None,
        kinds: Vec::new(),
        fields: fields.iter().copied().collect(),
        confirm: Confirm::Transport,
    };
    let police = recipient(
        "port-police",
        &[
            (FieldClass::Operational, Treatment::Show),
            (FieldClass::QuasiIdentity, Treatment::Show),
            (FieldClass::Identity, Treatment::Pseudonym),
            (FieldClass::Media, Treatment::Show),
            (FieldClass::Method, Treatment::Show),
        ],
    );
    let desk = Recipient {
        zones: Some(vec![ZoneId::new("lane-3").unwrap()]),
        kinds: vec![KindPattern("gate.*".into()), KindPattern("sensor.*".into())],
        ..recipient(
            "acme-terminal",
            &[(FieldClass::Operational, Treatment::Show), (FieldClass::QuasiIdentity, Treatment::Mask)],
        )
    };
    let members = vec![organisation("port-police"), organisation("acme-terminal")];
    Policy {
        default_marking: Some(Marking {
            owner: organisation("acme-terminal"),
            tlp: Tlp::Amber,
            releasable_to: members.iter().cloned().map(Releasable::Organisation).collect(),
            purpose: purpose.clone(),
            delete_after_days: 28,
        }),
        markings: Vec::new(),
        groups: [(GroupId::new("gate-2-watch").unwrap(), Group { organisations: members, agreement: None })].into(),
        recipients: [("port-police", police), ("gate-desk", desk)]
            .map(|(name, recipient)| (RecipientId::new(name).unwrap(), recipient))
            .into(),
        ..Policy::default()
    }
}
