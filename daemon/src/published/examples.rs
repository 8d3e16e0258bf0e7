//! An example of every message. Products are made by the decisions that make real ones.

use super::fictional::{self, REFERENCE_KEY};
use crate::{
    audit,
    ledger::Accounts,
    pipeline::Picture,
    upstreams::messages::{self, Frame},
};
use quaywatch_schemas::{
    CloudEvent, Product, RecipientId, Site, Situation, WallTime,
    audit::{Checkpoint, Entered, Entry},
    product::{
        Answer, AnswerWord, Heartbeat, NeverSent, Receipt, Request, RequestWord, Snapshot, StreamStarted, Verdict,
    },
    scan::{Cartesian, Class, Format, Polar, Scan, Seen},
    situation::{Phase, Phrase},
    time::{ClockQuality, ClockState},
};
use quaywatch_sharing::{Context, Decision, Release, Told, decide, envelope, signing::public_key};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// A message and the schema it is of.
pub(super) struct Example {
    pub(super) name: &'static str,
    pub(super) schema: &'static str,
    pub(super) message: Value,
    /// The same as text, fields in the order they are sent in.
    pub(super) text: String,
}

/// No gateway's.
const AUDIT_KEY: [u8; 32] = [7; 32];
const POLICE: &str = "port-police";
const DESK: &str = "gate-desk";
const EPOCH: &str = "3f9c2ab1d04e5577";
const POLICE_LAST: u64 = 48_213;
const DESK_LAST: u64 = 1977;

pub(super) fn all() -> Vec<Example> {
    let (site, situation) = (fictional::site(), fictional::tailgating());
    let opened = |to| released(to, &Situation { phase: Phase::Opened, revision: 1, ..situation.clone() }, None);
    let (police_opened, desk_opened) = (opened(POLICE), opened(DESK));
    // What was opened was less certain, so that the revision says something new to both.
    let before = |release: &Release| Told { probability: 0.6, shown: [0; 16], ..release.told.clone() };
    let police = released(POLICE, &situation, Some(&before(&police_opened)));
    let desk = released(DESK, &situation, Some(&before(&desk_opened)));
    let closed = released(DESK, &over(&situation, Phase::Closed), Some(&desk.told));
    let retracted = released(DESK, &over(&situation, Phase::Retracted), Some(&desk.told));
    let police_id = format!("{EPOCH}.{POLICE_LAST:020}");
    let example = |name, schema, text: String| Example {
        name,
        schema,
        message: serde_json::from_str(&text).expect("messages are JSON"),
        text: text + "\n",
    };
    vec![
        example(
            "tailgating-opened-port-police",
            "product-event",
            event(&site, &police_opened, POLICE, POLICE_LAST - 1),
        ),
        example("tailgating-port-police", "product-event", event(&site, &police, POLICE, POLICE_LAST)),
        example("tailgating-gate-desk", "product-event", event(&site, &desk, DESK, DESK_LAST)),
        example("tailgating-closed-gate-desk", "product-event", event(&site, &closed, DESK, DESK_LAST + 1)),
        example("tailgating-retracted-gate-desk", "product-event", event(&site, &retracted, DESK, DESK_LAST + 1)),
        example("heartbeat", "heartbeat-event", heartbeat(&site, &situation)),
        example("started", "started-event", started(&site, &situation)),
        example("snapshot", "snapshot-event", snapshot(&site, &situation, police.product)),
        example("audit-rule-off", "audit-entry-event", audit_entry(&site, &situation)),
        example("audit-checkpoint", "audit-checkpoint-event", audit_checkpoint(&site, &situation)),
        example("answer-acknowledged", "answer", json(&acknowledged(&police_id))),
        example("answer-closed", "answer", json(&closed_with_verdict(&police_id))),
        example("receipt", "receipt", json(&Receipt { epoch: EPOCH.into(), up_to: POLICE_LAST })),
        example("request", "request", json(&Request { request: RequestWord::Snapshot })),
        example("frame", "frame", json(&scan())),
    ]
}

/// A new site file had a rule no more.
fn rule_off(at: &str) -> Entered {
    let details = [("rule", "tailgating"), ("mode.before", "tell")];
    audit::enter(Entry {
        number: 7,
        previous: blake3::hash(b"entry 6").to_hex().to_string(),
        position: 5_120,
        time: at.into(),
        gateway_time: at.into(),
        clock: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 60 },
        who: "gateway".into(),
        what: "The rule tailgating is switched off.".into(),
        act: "rule.off".into(),
        details: details.map(|(name, value)| (name.into(), value.into())).into(),
    })
}

fn audit_entry(site: &Site, situation: &Situation) -> String {
    audit_event(site, 9, &json(&rule_off(&nanoseconds(situation.concluded_wall))))
}

fn audit_checkpoint(site: &Site, situation: &Situation) -> String {
    let at = nanoseconds(situation.concluded_wall);
    let Entered { entry, hash } = rule_off(&at);
    let checkpoint = Checkpoint { number: entry.number, hash, time: at.clone(), gateway_time: at };
    audit_event(site, 10, &json(&audit::sign(checkpoint, &AUDIT_KEY)))
}

fn audit_event(site: &Site, frame: u64, line: &str) -> String {
    let source = format!("/quaywatch/{}/{}/audit", site.locode, site.id);
    json(&audit::export::event(frame, line, &source, &public_key(&AUDIT_KEY).to_string()))
}

fn nanoseconds(at: WallTime) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at.0)).expect("a time of the story");
    at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// What a radar over a quay sees: a boat, and a person it has placed in the site's grid.
fn scan() -> Scan {
    let polar = Polar { range_m: 84.2, bearing_deg: -12.5, range_sd_m: 1.5, bearing_sd_deg: 0.6 };
    let cartesian = Cartesian { x_m: 31.5, y_m: -4.0, sd_m: Some(0.4), covariance_m2: None };
    let boat = Seen {
        class: Some(Class::Vessel),
        confidence: Some(0.91),
        polar: Some(polar),
        cartesian: None,
        speed_m_s: Some(1.2),
    };
    let person =
        Seen { class: Some(Class::Person), confidence: None, polar: None, cartesian: Some(cartesian), speed_m_s: None };
    let time = "2026-03-14T02:12:04.200Z".into();
    Scan { format: Format::V1, time, frame: 18_233, detections: vec![boat, person] }
}

fn over(situation: &Situation, phase: Phase) -> Situation {
    let lasted = Duration::from_secs(95);
    Situation {
        phase,
        revision: 3,
        until: Some(situation.from.after(lasted)),
        concluded_wall: situation.from.after(lasted),
        assessment: match phase {
            Phase::Retracted => Phrase::words("One long combination; the second plate was its trailer's."),
            _ => situation.assessment.clone(),
        },
        ..situation.clone()
    }
}

fn released(to: &str, situation: &Situation, told: Option<&Told>) -> Release {
    let (site, policy, to) = (fictional::site(), fictional::policy(), recipient(to));
    let others: Vec<RecipientId> = [POLICE, DESK].into_iter().map(recipient).filter(|other| *other != to).collect();
    let context = Context {
        policy: &policy,
        site: &site,
        told,
        others_told: &others,
        reference_key: &REFERENCE_KEY,
        late: false,
        now: situation.concluded_wall,
    };
    match decide(&to, situation, &context) {
        Decision::Release(release) => *release,
        Decision::Unchanged | Decision::Withhold(_) => unreachable!("the fictional policy releases the fictional site"),
    }
}

fn event(site: &Site, release: &Release, to: &str, sequence: u64) -> String {
    json(&envelope(release, (&site.locode, &site.id, &recipient(to)), EPOCH, sequence))
}

fn heartbeat(site: &Site, situation: &Situation) -> String {
    let (to, policy) = (recipient(POLICE), fictional::policy());
    let picture = Picture {
        site: Some(Arc::new(site.clone())),
        security_level: situation.security_level,
        clock: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 60 },
        policy_digest: *blake3::hash(b"sharing.toml").as_bytes(),
        blind_zones: vec![situation.zone.clone()],
        ..Picture::default()
    };
    let accounts = Accounts {
        last_sequence: POLICE_LAST,
        backlog: 1,
        oldest_unsent: Some(situation.concluded_wall),
        never: vec![
            NeverSent { first: 47_102, last: 47_118, why: "shed".into() },
            NeverSent { first: 48_200, last: 48_200, why: "withdrawn".into() },
        ],
    };
    let bytes = messages::heartbeat(frame(site, &to, situation), &picture, &policy.recipients[&to], &accounts);
    parsed::<Heartbeat>(&bytes)
}

fn started(site: &Site, situation: &Situation) -> String {
    parsed::<StreamStarted>(&messages::started(
        frame(site, &recipient(POLICE), situation),
        "a part of the store was lost",
    ))
}

fn snapshot(site: &Site, situation: &Situation, product: Product) -> String {
    let snapshot = Snapshot { up_to: POLICE_LAST, open: vec![product], left_out: 0 };
    parsed::<Snapshot>(&messages::snapshot(frame(site, &recipient(POLICE), situation), snapshot))
}

fn frame<'a>(site: &'a Site, recipient: &'a RecipientId, situation: &Situation) -> Frame<'a> {
    let now: WallTime = situation.concluded_wall.after(Duration::from_secs(4));
    Frame { site, recipient, epoch_hex: EPOCH, now }
}

fn acknowledged(product: &str) -> Answer {
    Answer {
        product: product.into(),
        revision: 2,
        word: AnswerWord::Acknowledged,
        verdict: None,
        reason: None,
        by: "duty-officer".into(),
        at: "2026-03-14T02:13:02Z".into(),
    }
}

fn closed_with_verdict(product: &str) -> Answer {
    Answer {
        word: AnswerWord::Closed,
        verdict: Some(Verdict::True),
        reason: Some("Second truck found in the yard without a booking; driver was shown out.".into()),
        at: "2026-03-14T02:41:30Z".into(),
        ..acknowledged(product)
    }
}

fn recipient(name: &str) -> RecipientId {
    RecipientId::new(name).expect("names in this file are well formed")
}

/// JSON for people, fields in the order of the type.
fn json(message: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(message).expect("messages have no maps with keys other than text")
}

fn parsed<Data: Serialize + DeserializeOwned>(bytes: &[u8]) -> String {
    json(&serde_json::from_slice::<CloudEvent<Data>>(bytes).expect("a stream message is a CloudEvent"))
}
