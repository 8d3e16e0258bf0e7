//! All that is open for one recipient, as the policy in force lets it see it now.
//!
//! It is built anew from the stored situations by the same decision that makes products, so it can show nothing that a
//! product made now would not show. Each product in it has the revision that was told last.

use super::{Parts, messages, messages::Frame};
use crate::{
    ledger::{StateError, wall_now},
    pipeline::Picture,
};
use quaywatch_schemas::{
    Policy, Product, RecipientId, Site, Situation, WallTime,
    product::Snapshot,
    situation::{Phase, SituationId},
};
use quaywatch_sharing::{Context, Decision, Told, decide};
use std::{collections::BTreeMap, time::Duration};

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSnapshot {
    /// Nothing is in force that names the recipient.
    #[error("no site and sharing file that name the recipient are in force yet")]
    NotYet,
    /// The state is behind the outbox for too long.
    #[error("the state is behind; ask again later")]
    Behind,
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What the products in a snapshot may take; beyond it the least severe and oldest are counted and left out. Brokers and
/// proxies commonly stop at 1 MiB.
const MOST_BYTES: usize = 900 << 10;
/// The state is written about a second after a conclusion.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 50;

/// The snapshot as a CloudEvent. Everything up to the number it names is accounted for in it.
pub(super) async fn build(parts: &Parts, recipient: &RecipientId) -> Result<Vec<u8>, NoSnapshot> {
    let (parts, recipient) = (parts.clone(), recipient.clone());
    let mark = parts.outbox.high_water(&recipient);
    for _ in 0..LOOKS {
        let state = parts.state.clone();
        let outputs = in_background(move || state.checkpoint()).await?.map_or(0, |checkpoint| checkpoint.outputs);
        if outputs >= mark.output {
            return in_background(move || from_state(&parts, &recipient, mark.sequence)).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(NoSnapshot::Behind)
}

async fn in_background<T: Send + 'static, E: Send + 'static + Into<NoSnapshot>>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, NoSnapshot> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(NoSnapshot::Behind),
    }
}

fn from_state(parts: &Parts, recipient: &RecipientId, up_to: u64) -> Result<Vec<u8>, NoSnapshot> {
    let picture: Picture = parts.picture.borrow().clone();
    let (Some(site), Some(policy)) = (&picture.site, &picture.policy) else { return Err(NoSnapshot::NotYet) };
    if !policy.recipients.contains_key(recipient) {
        return Err(NoSnapshot::NotYet);
    }
    let mut told: BTreeMap<SituationId, (Option<Told>, Vec<RecipientId>)> = BTreeMap::new();
    for ((whom, situation), bytes) in parts.state.told()? {
        let row = told.entry(situation).or_default();
        match postcard::from_bytes::<Told>(&bytes) {
            Ok(account) if whom == *recipient => row.0 = Some(account),
            _ => row.1.push(whom),
        }
    }
    let (mut open, now) = (Vec::new(), wall_now());
    for (id, (account, others)) in told {
        let Some(account) = account else { continue };
        if let Some(situation) = parts.state.situation(&id)? {
            open.extend(as_told(recipient, &situation, account, &others, (policy, site), &parts.reference_key, now));
        }
    }
    let (open, left_out) = most_important(open);
    let epoch_hex = parts.outbox.epoch_hex();
    let frame = Frame { site, recipient, epoch_hex: &epoch_hex, now };
    Ok(messages::snapshot(frame, Snapshot { up_to, open, left_out }))
}

/// The product a recipient would have of a situation now, with the revision it was told last; nothing if the situation is
/// over or the policy in force withholds it.
fn as_told(
    recipient: &RecipientId,
    situation: &Situation,
    account: Told,
    others: &[RecipientId],
    (policy, site): (&Policy, &Site),
    reference_key: &[u8; 32],
    now: WallTime,
) -> Option<Product> {
    if matches!(situation.phase, Phase::Closed | Phase::Retracted) {
        return None;
    }
    // One before the last, and nothing it could be the same as: the decision then makes the last one again.
    let before = (account.revision > 1).then(|| Told { revision: account.revision - 1, shown: [0; 16], ..account });
    let context = Context { policy, site, told: before.as_ref(), others_told: others, reference_key, late: false, now };
    match decide(recipient, situation, &context) {
        Decision::Release(release) => Some(release.product),
        Decision::Unchanged | Decision::Withhold(_) => None,
    }
}

/// The most severe and then the newest first, as many as there is room for, and how many are left out.
fn most_important(mut open: Vec<Product>) -> (Vec<Product>, u64) {
    open.sort_by(|a, b| (b.severity, &b.from, &a.reference).cmp(&(a.severity, &a.from, &b.reference)));
    let mut bytes = 0;
    let all = open.len();
    let fit = open.iter().take_while(|product| {
        bytes += serde_json::to_vec(product).map_or(usize::MAX / 2, |json| json.len());
        bytes <= MOST_BYTES
    });
    let fit = fit.count();
    open.truncate(fit);
    (open, (all - fit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{published::fictional, upstreams::testing::recipient_id};

    fn told(revision: u32) -> Told {
        let (site, policy, situation) = (fictional::site(), fictional::policy(), fictional::tailgating());
        let context = Context {
            policy: &policy,
            site: &site,
            told: None,
            others_told: &[],
            reference_key: &[3; 32],
            late: false,
            now: situation.concluded_wall,
        };
        match decide(&recipient_id(), &situation, &context) {
            Decision::Release(release) => Told { revision, ..release.told },
            other => panic!("{other:?}"),
        }
    }

    fn seen(policy: &Policy, situation: &Situation, revision: u32) -> Option<Product> {
        as_told(
            &recipient_id(),
            situation,
            told(revision),
            &[],
            (policy, &fictional::site()),
            &[3; 32],
            situation.concluded_wall,
        )
    }

    #[test]
    fn a_product_in_a_snapshot_has_the_revision_that_was_told_last() {
        let situation = fictional::tailgating();
        for revision in [1, 2, 7] {
            let product = seen(&fictional::policy(), &situation, revision).unwrap();
            assert_eq!(product.revision, revision);
            assert_eq!(product.supersedes, (revision > 1).then(|| revision - 1));
            assert_eq!(product.phase, if revision == 1 { Phase::Opened } else { Phase::Revised });
        }
    }

    #[test]
    fn a_snapshot_shows_what_the_policy_in_force_allows_and_no_more() {
        let situation = fictional::tailgating();
        let mut policy = fictional::policy();
        let plate = |policy: &Policy| seen(policy, &situation, 3).unwrap().subjects[0].plate.clone();
        assert!(plate(&policy).is_some());
        let police = policy.recipients.get_mut(&recipient_id()).unwrap();
        police.fields.remove(&quaywatch_schemas::FieldClass::QuasiIdentity);
        assert_eq!(plate(&policy), None);
        policy.recipients.get_mut(&recipient_id()).unwrap().zones = Some(vec![]);
        assert_eq!(seen(&policy, &situation, 3), None);
    }

    #[test]
    fn what_is_over_is_not_in_it() {
        let mut situation = fictional::tailgating();
        situation.phase = Phase::Closed;
        assert_eq!(seen(&fictional::policy(), &situation, 3), None);
    }

    #[test]
    fn what_does_not_fit_is_counted_and_is_the_least_important() {
        let situation = fictional::tailgating();
        let product = seen(&fictional::policy(), &situation, 1).unwrap();
        let mut many: Vec<Product> = (0..2000)
            .map(|i| Product {
                reference: format!("QW-G2-{i:04}"),
                from: format!("2026-03-14T02:{:02}:00.000Z", i % 60),
                ..product.clone()
            })
            .collect();
        many[77].severity = quaywatch_schemas::situation::Severity::Extreme;
        let (open, left_out) = most_important(many);
        assert_eq!(open.len() as u64 + left_out, 2000);
        assert!(left_out > 0);
        assert_eq!(open[0].reference, "QW-G2-0077");
        assert!(open[1].from >= open.last().unwrap().from);
    }
}
