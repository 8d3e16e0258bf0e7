//! Who is where: looked up, never scanned for.
//!
//! Made anew whenever a site takes effect; not part of a snapshot. The numbers are places in the site's name order, so they
//! are the same wherever the same site is in force.

use alloc::{collections::BTreeMap, vec::Vec};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quaywatch_schemas::{
    SensorId, Site, ZoneId,
    site::{Role, Sensor, Zone},
};

/// The places of a site's sensors and zones.
#[derive(Default)]
pub(crate) struct Index {
    /// In name order: their numbers are their places.
    sensors: Vec<SensorId>,
    zones: Vec<ZoneId>,
    places: Vec<Zone>,
    /// Only ever asked for one name: the order of its entries decides nothing.
    number_of: HashMap<SensorId, u32, FixedState>,
    zone_of: Vec<u32>,
    /// The site's own sensors again, by number: most records need one.
    specs: Vec<Sensor>,
    by_zone: Vec<BTreeMap<Role, Vec<u32>>>,
    by_role: BTreeMap<Role, Vec<u32>>,
}

impl Index {
    pub(crate) fn of(site: &Site) -> Self {
        let zones: Vec<ZoneId> = site.zones.keys().cloned().collect();
        let mut index = Self {
            by_zone: zones.iter().map(|_| BTreeMap::new()).collect(),
            zones,
            places: site.zones.values().cloned().collect(),
            number_of: HashMap::with_capacity_and_hasher(site.sensors.len(), FixedState::default()),
            ..Self::default()
        };
        for (number, (id, spec)) in (0u32..).zip(&site.sensors) {
            // A sensor of a zone that is not there is nobody's: the site file cannot say so, a test may.
            let zone = index.zone(&spec.zone).unwrap_or(u32::MAX);
            index.sensors.push(id.clone());
            index.number_of.insert(id.clone(), number);
            index.zone_of.push(zone);
            index.specs.push(spec.clone());
            index.by_role.entry(spec.role).or_default().push(number);
            if let Some(roles) = index.by_zone.get_mut(zone as usize) {
                roles.entry(spec.role).or_default().push(number);
            }
        }
        index
    }

    pub(crate) fn sensor(&self, id: &SensorId) -> Option<usize> {
        self.number_of.get(id).map(|number| *number as usize)
    }

    pub(crate) fn spec(&self, sensor: usize) -> Option<&Sensor> {
        self.specs.get(sensor)
    }

    pub(crate) fn zone(&self, id: &ZoneId) -> Option<u32> {
        self.zones.binary_search(id).ok().map(|zone| zone as u32)
    }

    pub(crate) fn zone_name(&self, zone: u32) -> Option<&ZoneId> {
        self.zones.get(zone as usize)
    }

    pub(crate) fn place(&self, zone: u32) -> Option<(&ZoneId, &Zone)> {
        Some((self.zones.get(zone as usize)?, self.places.get(zone as usize)?))
    }

    pub(crate) fn zone_of(&self, sensor: usize) -> Option<u32> {
        self.zone_of.get(sensor).copied().filter(|zone| *zone != u32::MAX)
    }

    /// Sensors of a zone that have a role, in name order.
    pub(crate) fn with(&self, zone: u32, role: Role) -> impl Iterator<Item = (&SensorId, &Sensor)> {
        let numbers = self.by_zone.get(zone as usize).and_then(|roles| roles.get(&role));
        numbers.into_iter().flatten().filter_map(|number| self.at(*number))
    }

    /// All sensors of a zone, role by role.
    pub(crate) fn of_zone(&self, zone: u32) -> impl Iterator<Item = (&SensorId, &Sensor)> {
        let roles = self.by_zone.get(zone as usize);
        roles.into_iter().flat_map(BTreeMap::values).flatten().filter_map(|number| self.at(*number))
    }

    /// Sensors of the whole site that have a role, in name order.
    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = (&SensorId, &Sensor)> {
        self.by_role.get(&role).into_iter().flatten().filter_map(|number| self.at(*number))
    }

    fn at(&self, number: u32) -> Option<(&SensorId, &Sensor)> {
        Some((self.sensors.get(number as usize)?, self.specs.get(number as usize)?))
    }
}
