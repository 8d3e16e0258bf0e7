//! The messages of a stream that are not products: heartbeat, start and snapshot. Values in, bytes out.

use crate::{ledger::Accounts, pipeline::Picture};
use quaywatch_schemas::{
    CloudEvent, RecipientId, Site, WallTime,
    policy::Recipient,
    product::{HEARTBEAT_TYPE, Heartbeat, SNAPSHOT_TYPE, STARTED_TYPE, Snapshot, StreamStarted},
};
use serde::Serialize;

/// What a stream is and when it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) site: &'a Site,
    pub(crate) recipient: &'a RecipientId,
    pub(crate) epoch_hex: &'a str,
    pub(crate) now: WallTime,
}

/// The heartbeat. A consumer that sees none for two minutes knows that the stream is cut; one that has less than
/// `last_sequence` knows that something is on its way or lost.
pub(crate) fn heartbeat(frame: Frame<'_>, picture: &Picture, recipient: &Recipient, accounts: &Accounts) -> Vec<u8> {
    let blind = picture.blind_zones.iter().filter(|zone| recipient.covers(zone));
    let digest = &picture.policy_digest[..8];
    event(
        frame,
        HEARTBEAT_TYPE,
        "heartbeat",
        Heartbeat {
            last_sequence: accounts.last_sequence,
            backlog: accounts.backlog,
            oldest_unsent: accounts.oldest_unsent.map(rfc3339),
            time_quality: picture.clock,
            blind_zones: blind.map(ToString::to_string).collect(),
            seclevel: picture.security_level,
            version: env!("CARGO_PKG_VERSION").into(),
            policy: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            policy_unsigned: picture.policy.as_ref().is_some_and(|policy| policy.signed_by.is_empty()),
            never: accounts.never.clone(),
        },
    )
}

/// Says that numbering began anew, and why.
pub(crate) fn started(frame: Frame<'_>, reason: &str) -> Vec<u8> {
    let data = StreamStarted { reason: reason.into(), version: env!("CARGO_PKG_VERSION").into() };
    event(frame, STARTED_TYPE, "started", data)
}

/// All that is open for the recipient.
pub(crate) fn snapshot(frame: Frame<'_>, snapshot: Snapshot) -> Vec<u8> {
    event(frame, SNAPSHOT_TYPE, "snapshot", snapshot)
}

/// These messages have no number. Their id is made of the epoch, what they are and when, so that no two are the same.
fn event<Data: Serialize>(frame: Frame<'_>, kind: &str, name: &str, data: Data) -> Vec<u8> {
    let Frame { site, recipient, epoch_hex, now } = frame;
    let source = format!("/quaywatch/{}/{}/{recipient}", site.locode, site.id);
    let id = format!("{epoch_hex}.{name}.{}", now.0);
    let event = CloudEvent::unnumbered(kind, source, id, epoch_hex, rfc3339(now), data);
    serde_json::to_vec(&event).expect("a stream message has no map with keys other than text")
}

fn rfc3339(at: WallTime) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .map_or_else(|_| "1970-01-01T00:00:00.000Z".into(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstreams::testing::{picture, recipient_id};
    use quaywatch_schemas::{ZoneId, product::NeverSent};

    #[test]
    fn a_heartbeat_tells_of_the_recipients_own_zones_only() {
        let mut picture = picture(&["lane-3"]);
        picture.blind_zones = ["lane-3", "quay-1"].map(|zone| ZoneId::new(zone).unwrap()).to_vec();
        picture.security_level = 2;
        let policy = picture.policy.clone().unwrap();
        let accounts = Accounts {
            last_sequence: 41,
            backlog: 2,
            oldest_unsent: Some(WallTime(1_773_454_324_120_000_000)),
            never: vec![NeverSent { first: 7, last: 9, why: "shed".into() }],
        };
        let frame = Frame {
            site: picture.site.as_ref().unwrap(),
            recipient: &recipient_id(),
            epoch_hex: "3f",
            now: WallTime(1_773_454_330_000_000_000),
        };
        let bytes = heartbeat(frame, &picture, &policy.recipients[&recipient_id()], &accounts);
        let event: CloudEvent<Heartbeat> = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(event.id, "3f.heartbeat.1773454330000000000");
        assert_eq!(event.source, "/quaywatch/NLRTM/gate-2/port-police");
        assert_eq!(event.data.blind_zones, ["lane-3"], "what is blind elsewhere is not this recipient's business");
        assert_eq!(event.data.oldest_unsent.as_deref(), Some("2026-03-14T02:12:04.120Z"));
        assert_eq!((event.data.last_sequence, event.data.backlog, event.data.never.len()), (41, 2, 1));
        assert_eq!((event.data.seclevel, event.data.policy.len()), (2, 16));
        assert_eq!(event.sequence, None, "a heartbeat has no number");
    }
}
