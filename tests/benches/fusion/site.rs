//! Sites as large as wanted, and what a system of record knows of their vehicles.

use quaywatch_schemas::{
    DomainId, FeedId, LineId, PatternId, Private, Reference, SensorId, Site, SiteId, WallTime, ZoneId,
    reference::{Booking, Fact, References},
    site::{
        Clock, Direction, Mount, Pattern, Rates, Role, Rules, Sensor, Status, UtcOffset, View, Zone, ZoneKind,
        rules::{Mode, Rule},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// What a lane has, by the names its sensors end in.
pub const LANE: [(&str, Role); 9] = [
    ("approach", Role::LoopApproach),
    ("exit", Role::LoopExit),
    ("arm", Role::BarrierOpen),
    ("grant", Role::Grant),
    ("front", Role::PlateFront),
    ("rear", Role::PlateRear),
    ("portal", Role::Container),
    ("antenna", Role::Tag),
    ("scale", Role::WeightGross),
];
/// What a quay has.
const QUAY: [(&str, Role); 4] = [
    ("radar", Role::Radar),
    ("camera", Role::PositionCamera),
    ("pir", Role::PresencePir),
    ("fence", Role::FenceVibration),
];

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub lanes: usize,
    pub quays: usize,
}

pub fn lane(number: usize) -> ZoneId {
    ZoneId::new(&format!("lane-{number}")).expect("well formed")
}

pub fn sensor(zone: &str, number: usize, part: &str) -> SensorId {
    SensorId::new(&format!("{zone}-{number}-{part}")).expect("well formed")
}

pub fn site(size: Size, rules: Rules) -> Site {
    let mut zones = BTreeMap::new();
    let mut sensors = BTreeMap::new();
    for number in 0..size.lanes {
        zones.insert(lane(number), zone(ZoneKind::Lane, Vec::new()));
        for (part, role) in LANE {
            sensors.insert(sensor("lane", number, part), device(lane(number), role, None));
        }
    }
    for number in 0..size.quays {
        let id = ZoneId::new(&format!("quay-{number}")).expect("well formed");
        // Quays lie beside one another, each 400 m by 260 m.
        let x = 1000.0 * number as f64;
        zones.insert(
            id.clone(),
            zone(ZoneKind::Quay, vec![(x, -60.0), (x + 400.0, -60.0), (x + 400.0, 200.0), (x, 200.0)]),
        );
        for (part, role) in QUAY {
            let mount = Mount { x: x + 200.0, y: -55.0, facing_deg: 90.0 };
            sensors.insert(sensor("quay", number, part), device(id.clone(), role, Some(mount)));
        }
    }
    Site {
        locode: "NLRTM".into(),
        id: SiteId::new("bench").expect("well formed"),
        timezone: "Europe/Amsterdam".into(),
        status: Status::Test,
        zones,
        sensors,
        rules,
        feeds: [(FeedId::new("bookings").expect("well formed"), Duration::from_secs(365 * 86_400))].into(),
        utc_offsets: vec![UtcOffset { from: WallTime(0), seconds: 3600 }],
        grid: None,
        patterns: Default::default(),
    }
}

/// So many patterns: one in each of the busy lanes, all others in the lanes beyond them.
pub fn patterns(count: usize, busy: usize, site: &Site) -> BTreeMap<PatternId, Pattern> {
    let idle = site.zones.len() - busy;
    let text: String = (0..count)
        .map(|number| {
            let lane = if number < busy { number } else { busy + number % idle };
            format!(
                "[patterns.p{number}]\nzones = [\"lane-{lane}\"]\nwithin = \"60 s\"\nseq = [{{ role = \"barrier.open\" }}, \
                 {{ role = \"loop.exit\" }}, {{ role = \"barrier.open\", is = \"off\", absent = true }}, \
                 {{ role = \"loop.exit\", within = \"14 s\" }}]\nexpect = [{{ role = \"grant\", absent = true }}]\n\
                 emit = {{ headline = \"one follows\", assessment = \"It had no grant.\" }}\n"
            )
        })
        .collect();
    quaywatch::config::read_patterns("bench", &text, site).unwrap_or_else(|why| panic!("{why}"))
}

/// A pattern in every busy lane whose end never comes, so that it waits for as many as it may.
pub fn unfinished(partial: u16, busy: usize, site: &Site) -> BTreeMap<PatternId, Pattern> {
    let text: String = (0..busy)
        .map(|lane| {
            format!(
                "[patterns.p{lane}]\nzones = [\"lane-{lane}\"]\nwithin = \"12 h\"\nskip = \"to_next\"\n\
                 max_partial = {partial}\nseq = [{{ role = \"loop.exit\" }}, {{ role = \"barrier.open\", lasts = \"6 h\" }}]\n\
                 emit = {{ headline = \"it stands open\", assessment = \"It never does.\" }}\n"
            )
        })
        .collect();
    quaywatch::config::read_patterns("bench", &text, site).unwrap_or_else(|why| panic!("{why}"))
}

/// The rules every site runs, and no others.
pub fn few_rules() -> Rules {
    Rules { passage: everywhere(), sensor_silent: everywhere(), node_tamper: everywhere(), ..Rules::default() }
}

/// Every rule that runs with its defaults.
pub fn all_rules() -> Rules {
    Rules {
        passage: everywhere(),
        tailgating: everywhere(),
        barrier_forced: everywhere(),
        weight_mismatch: everywhere(),
        quay_presence: everywhere(),
        sensor_silent: everywhere(),
        blinded_before_access: everywhere(),
        node_tamper: everywhere(),
        unbooked: everywhere(),
        tag_mismatch: everywhere(),
        container_mismatch: everywhere(),
        wrong_way: everywhere(),
        dwell: everywhere(),
        small_craft: everywhere(),
        pass_back: everywhere(),
        impossible_travel: everywhere(),
        out_of_hours: everywhere(),
        out_of_zone: everywhere(),
        first_time_zone: everywhere(),
        denied_then_granted: everywhere(),
        not_taken: everywhere(),
        door_held: everywhere(),
        on_foot: everywhere(),
        sensor_blind: everywhere(),
        sensor_stuck: everywhere(),
        sensor_drift: everywhere(),
        clock_step: everywhere(),
        sensor_conflict: everywhere(),
        ..Rules::default()
    }
}

/// The plate of the vehicle of a number.
pub fn plate(number: usize) -> String {
    let letter = |place: u32| char::from(b"ABCDEFGHJKLMNPRSTUVWXYZ"[number / 23usize.pow(place) % 23]);
    format!("{}{}{:02}{}{}X", letter(0), letter(1), number % 97, letter(2), letter(3))
}

/// The tag of the vehicle of a number.
pub fn tag(number: usize) -> String {
    format!("E280{number:012X}")
}

/// The container of the vehicle of a number; its check digit is whatever it is.
pub fn container(number: usize) -> String {
    format!("QWYU{:07}", number * 7)
}

pub fn bookings(count: usize, as_of: WallTime) -> References {
    let booking = |number| Booking {
        plate: Private::clear(plate(number)),
        containers: vec![Private::clear(container(number))],
        declared_gross_kg: Some(20_000),
        zones: Vec::new(),
        tag: Some(Private::clear(tag(number))),
        driver: None,
    };
    let statement = |number| Reference {
        key: format!("B{number}"),
        valid_from: None,
        valid_until: None,
        version: 1,
        fact: Fact::Booking(booking(number)),
    };
    let feed = FeedId::new("bookings").expect("well formed");
    References { feed, as_of, complete: true, statements: (0..count).map(statement).collect() }
}

fn zone(kind: ZoneKind, outline: Vec<(f64, f64)>) -> Zone {
    let direction = (kind == ZoneKind::Lane).then_some(Direction::In);
    Zone { name: "Somewhere".into(), kind, direction, length_m: None, media: None, closed: None, outline }
}

fn device(zone: ZoneId, role: Role, mount: Option<Mount>) -> Sensor {
    let view = mount.map(|_| View::Sector { range_m: 360.0, half_angle_deg: 180.0 });
    let false_alarm = if role == Role::Radar { 8.0 } else { 0.01 };
    Sensor {
        role,
        at_m: None,
        domain: DomainId::new(&format!("switch-{zone}")).expect("well formed"),
        line: LineId::new(&format!("line-{zone}")).expect("well formed"),
        zone,
        mount,
        view,
        clock: Clock::Free,
        leads: None,
        silent_after: None,
        unit: None,
        range: None,
        rates: Rates { detection: 0.9, false_alarm },
    }
}

fn everywhere<Settings: Default>() -> Option<Rule<Settings>> {
    Some(Rule::everywhere(Mode::Tell))
}
