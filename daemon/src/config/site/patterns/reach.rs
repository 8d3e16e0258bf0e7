//! Whether a pattern can ever be said in a zone: the most it can come to, if everything spoke for it.

use quaywatch_fusion::{bounds::MOST_WEIGHT, sensors_of};
use quaywatch_schemas::{
    DomainId, SensorId, Site, ZoneId,
    site::{Pattern, patterns::Source},
};
use std::collections::BTreeMap;

/// Why a pattern can never be said, if it cannot.
pub(super) fn never_said(pattern: &Pattern, zone: &ZoneId, site: &Site) -> Option<String> {
    let mut most = Most { domains: BTreeMap::new(), free: 0.0, site };
    for step in &pattern.steps {
        most.add(&step.on, zone, step.weight, |seen, missing| if step.absent { -missing } else { seen });
    }
    for expect in &pattern.expect {
        let given = expect.seen.into_iter().chain(expect.missing).reduce(f64::max);
        most.add(&expect.on, zone, given, |seen, missing| {
            let sign = if expect.absent { -1.0 } else { 1.0 };
            let (seen, missing) = (expect.seen.unwrap_or(sign * seen), expect.missing.unwrap_or(sign * missing));
            seen.max(missing).max(0.0)
        });
    }
    let logit = |share: f64| (share / (1.0 - share)).ln();
    let reaches = logit(pattern.emit.prior) + most.sum();
    if reaches >= logit(pattern.emit.min_p) {
        return None;
    }
    let probability = 100.0 / (1.0 + (-reaches).exp());
    Some(format!(
        "this is never said in `{zone}`: if everything spoke for it, it would be {probability:.0} % sure, and {:.0} % are asked \
         for (what fails together counts at most {MOST_WEIGHT:.0} in log-odds)",
        100.0 * pattern.emit.min_p
    ))
}

struct Most<'a> {
    domains: BTreeMap<&'a DomainId, f64>,
    /// Of what the gateway says itself.
    free: f64,
    site: &'a Site,
}

impl<'a> Most<'a> {
    fn add(&mut self, source: &Source, zone: &ZoneId, given: Option<f64>, by_rates: impl Fn(f64, f64) -> f64) {
        if let Source::Situation(_) | Source::Track { .. } = source {
            self.free += given.unwrap_or(MOST_WEIGHT).max(0.0);
            return;
        }
        let sensors: Vec<SensorId> = sensors_of(source, zone, self.site).cloned().collect();
        let share = sensors.len().max(1) as f64;
        for id in sensors {
            let Some(spec) = self.site.sensors.get(&id) else { continue };
            let (detection, false_alarm) = (spec.rates.detection, spec.rates.false_alarm.min(spec.rates.detection));
            let ratio = |a: f64, b: f64| (a.clamp(1e-6, 1.0) / b.clamp(1e-6, 1.0)).ln();
            let rates = by_rates(ratio(detection, false_alarm), ratio(1.0 - detection, 1.0 - false_alarm));
            let weight = given.map_or(rates, |weight| weight / share);
            *self.domains.entry(&spec.domain).or_default() += weight.clamp(-MOST_WEIGHT, MOST_WEIGHT);
        }
    }

    fn sum(&self) -> f64 {
        self.free + self.domains.values().map(|weight| weight.clamp(-MOST_WEIGHT, MOST_WEIGHT)).sum::<f64>()
    }
}
