//! What several rules ask about the place they look at: is it closed, does it blow, does anybody look.

use super::Here;
use crate::health::watches;
use quaywatch_schemas::{
    SensorId, WallTime,
    site::{Closed, Role},
};

impl Here<'_> {
    /// Whether nobody may be in the zone at a moment: it is closed then, and no work order allows work in it.
    pub(super) fn nobody_may_be_here(&self, at: WallTime) -> bool {
        self.is_closed(at) && !self.statements.allow_work(self.site, self.zone_id, at)
    }

    /// Whether the zone has closed hours and this is one of them.
    pub(crate) fn is_closed(&self, at: WallTime) -> bool {
        match self.zone.closed {
            None => false,
            Some(Closed::Always) => true,
            Some(Closed::Daily { from, until }) => {
                let minute = self.local_minute(at);
                if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
            }
        }
    }

    /// Minute of the site's local day.
    pub(crate) fn local_minute(&self, at: WallTime) -> u16 {
        let offset =
            self.site.utc_offsets.iter().rev().find(|offset| offset.from <= at).map_or(0, |offset| offset.seconds);
        let seconds = at.0.div_euclid(1_000_000_000) + i64::from(offset);
        (seconds.rem_euclid(86_400) / 60) as u16
    }

    /// The wind in m/s and who measures it: in this zone if it is measured here, else anywhere on the site.
    pub(super) fn wind(&self) -> Option<(f64, &SensorId)> {
        let here_first = self.sensors_with(Role::WindSpeed).map(|(id, _)| id);
        let anywhere = self.sensors.index.with_role(Role::WindSpeed);
        let mut healthy = here_first.chain(anywhere).filter(|id| self.health(id).is_healthy());
        healthy.find_map(|id| Some((self.sensors.get(id)?.value?, id)))
    }

    /// Whether a healthy sensor watches the zone for people or vehicles.
    pub(super) fn somebody_looks(&self) -> bool {
        self.look().sensors_here().any(|(id, spec)| watches(spec.role) && self.health(id).is_healthy())
    }
}
