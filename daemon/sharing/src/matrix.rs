//! Who gets what: the table `quaywatch check` prints, from the same functions that decide.

use crate::{Context, Withheld, releasable, tear};
use quaywatch_schemas::{FieldClass, Policy, RecipientId, Site, WallTime, ZoneId, policy::Treatment};

/// What one recipient gets of one kind in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The kind of situation.
    pub kind: String,
    /// Where.
    pub zone: ZoneId,
    /// Who.
    pub recipient: RecipientId,
    /// Each class of field and its treatment, or why there is nothing.
    pub gets: Result<Vec<(FieldClass, Treatment)>, Withheld>,
    /// The sentence it gets where it gets nothing else.
    pub tear_line: Option<String>,
}

/// Every kind in every zone it can occur in, for every recipient, as it is decided at a time.
pub fn who_gets_what(policy: &Policy, site: &Site, kinds: &[(String, ZoneId)], now: WallTime) -> Vec<Cell> {
    let context = Context { policy, site, told: None, others_told: &[], reference_key: &[0; 32], late: false, now };
    let mut cells = Vec::new();
    for (kind, zone) in kinds {
        for (id, recipient) in &policy.recipients {
            let gets = if !recipient.wants(kind) {
                Err(Withheld::OtherKinds)
            } else if !recipient.covers(zone) {
                Err(Withheld::OtherZones)
            } else {
                let reasons: Result<Vec<Withheld>, ()> = site
                    .sensors_of(zone)
                    .map(|(sensor, _)| releasable(recipient, sensor, &context).err().ok_or(()))
                    .collect();
                match reasons {
                    // One sensor that may be told of is enough.
                    Err(()) => Ok(FieldClass::ALL.iter().map(|class| (*class, recipient.treatment(*class))).collect()),
                    Ok(reasons) => Err(reasons.into_iter().max().unwrap_or(Withheld::NoMarking)),
                }
            };
            let concerned = !matches!(gets, Err(Withheld::OtherKinds | Withheld::OtherZones));
            let tear_line = tear::line(recipient, kind, zone, &context).filter(|_| concerned);
            let tear_line = tear_line.map(|line| line.text.clone());
            cells.push(Cell { kind: kind.clone(), zone: zone.clone(), recipient: id.clone(), gets, tear_line });
        }
    }
    cells
}
