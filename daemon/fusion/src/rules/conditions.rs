//! What several rules ask about the place they look at: is it closed, does it blow or rain, is it dark, does anybody look, and
//! what a sensor's word is worth in such conditions.

use super::Here;
use crate::{health::watches, sun};
use quaywatch_schemas::{
    Calibration, SensorId, WallTime,
    site::{Closed, Rates, Role, Sensor, rules},
    situation::Conditions,
    units::{Quantity, Unit},
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
        self.measured(Role::WindSpeed).map(|(value, id, _)| (value, id))
    }

    /// The rain in mm/h and who measures it, likewise.
    pub(super) fn rain(&self) -> Option<(f64, &SensorId)> {
        self.measured(Role::Rain).map(|(metres_per_second, id, _)| (metres_per_second * 3_600_000.0, id))
    }

    /// The light in lx, if a sensor measures it in lx: others say only lighter or darker.
    fn light(&self) -> Option<f64> {
        let in_lux = |unit: &Unit| unit.quantity() == Quantity::Illuminance;
        self.measured(Role::Light).filter(|(.., spec)| spec.unit.as_ref().is_some_and(in_lux)).map(|(lux, ..)| lux)
    }

    fn measured(&self, role: Role) -> Option<(f64, &SensorId, &Sensor)> {
        let here_first = self.sensors_with(role);
        let anywhere = self.sensors.index.with_role(role);
        let mut healthy = here_first.chain(anywhere).filter(|(id, _)| self.health(id).is_healthy());
        healthy.find_map(|(id, spec)| Some((self.sensors.get(id)?.value?, id, spec)))
    }

    /// Whether it is dark outside at this moment: by measured light, else by the sun where the site says where it is, else by
    /// the hour.
    fn is_night(&self) -> bool {
        let at = self.wall(self.now);
        match (self.light(), &self.site.grid) {
            (Some(lux), _) => lux < TWILIGHT_LUX,
            (None, Some(grid)) => sun::altitude_deg(at, grid.latitude, grid.longitude) < sun::CIVIL_TWILIGHT_DEG,
            (None, None) => !DAYTIME.contains(&self.local_minute(at)),
        }
    }

    /// Weather and light at this moment.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            night: self.is_night(),
            wind: self.wind().map(|(wind, _)| wind),
            rain: self.rain().map(|(rain, _)| rain),
        }
    }

    /// What a sensor's word is worth at this moment: the rates that were put in force for this light, else those of the site
    /// file, and then what wind, rain and darkness make of them.
    pub(super) fn rates_now(&self, sensor: &SensorId, spec: &Sensor) -> Rates {
        let conditions = self.conditions();
        let learned = self.adopted.rates.get(sensor).filter(|learned| learned.instead_of == spec.rates);
        let learned = learned.and_then(|learned| learned.of(conditions.night));
        let mut rates = learned.unwrap_or(spec.rates);
        let gusty = conditions.wind.map_or(0.0, |wind| (wind / self.windy()).clamp(0.0, 2.0));
        let wet = conditions.rain.map_or(0.0, |rain| (rain / HEAVY_RAIN).clamp(0.0, 2.0));
        match spec.role {
            Role::FenceVibration => {
                rates.false_alarm *= libm::pow(FENCE_IN_WIND, gusty) * libm::pow(FENCE_IN_RAIN, wet);
            }
            Role::PresencePir => rates.false_alarm *= libm::pow(PIR_IN_RAIN, wet),
            Role::PresenceCamera | Role::Pedestrian => {
                rates.detection *= libm::pow(CAMERA_SEES_IN_RAIN, wet);
                rates.false_alarm *= libm::pow(CAMERA_ERRS_IN_RAIN, wet);
                // What was learned by night was learned in the dark.
                if learned.is_none() && self.light().is_some_and(|lux| lux < DARK_LUX) {
                    rates.detection *= CAMERA_SEES_IN_THE_DARK;
                    rates.false_alarm *= CAMERA_ERRS_IN_THE_DARK;
                }
            }
            _ => {}
        }
        // However bad the weather, a word stays at worst worth little: it never becomes evidence of the opposite.
        rates.false_alarm = rates.false_alarm.min(MOST_FALSE_ALARMS.max(spec.rates.false_alarm));
        rates
    }

    /// What scores of the rule's kind have turned out to mean.
    pub(crate) fn calibration(&self) -> Calibration {
        self.adopted.calibration.get(self.rule.kind).cloned().unwrap_or_default()
    }

    /// The wind that the site calls windy, m/s.
    fn windy(&self) -> f64 {
        let rule = self.site.rules.quay_presence.as_ref();
        let windy = rule.map_or_else(|| rules::QuayPresence::default().windy, |rule| rule.settings.windy);
        windy.max(1.0)
    }

    /// Whether a healthy sensor watches the zone for people or vehicles.
    pub(super) fn somebody_looks(&self) -> bool {
        self.look().sensors_here().any(|(id, spec)| watches(spec.role) && self.health(id).is_healthy())
    }
}

/// Light at the end of civil twilight under a clear sky is about 3.4 lx (Schlyter, *Radiometry and photometry in astronomy*).
const TWILIGHT_LUX: f64 = 3.4;
/// A full moon gives 0.25 lx; a camera without light of its own sees little below 1 lx.
const DARK_LUX: f64 = 1.0;
/// Minutes of the local day that are taken for day where nothing better is known.
const DAYTIME: core::ops::Range<u16> = 6 * 60..21 * 60;
/// Rain from which on meteorologists call it heavy, mm/h (AMS Glossary: 0.30 inch an hour).
const HEAVY_RAIN: f64 = 7.6;
/// Starting points, to be replaced by what a site's own verdicts count. A fence's false alarms grow tenfold from calm to the
/// wind the site calls windy.
const FENCE_IN_WIND: f64 = 10.0;
/// Drops drum on a fence; less than wind shakes it.
const FENCE_IN_RAIN: f64 = 3.0;
/// Rain cools what a movement detector looks at, and not evenly.
const PIR_IN_RAIN: f64 = 2.0;
/// A camera in heavy rain misses one in six more, and takes drops near the lens for movement.
const CAMERA_SEES_IN_RAIN: f64 = 0.85;
const CAMERA_ERRS_IN_RAIN: f64 = 2.0;
/// Measured darkness at the place: what a camera sees is what its own lamp reaches, and insects are in it.
const CAMERA_SEES_IN_THE_DARK: f64 = 0.7;
const CAMERA_ERRS_IN_THE_DARK: f64 = 2.0;
const MOST_FALSE_ALARMS: f64 = 0.9;
