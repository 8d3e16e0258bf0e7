//! What the engine costs, and how that grows.
//!
//! `cargo bench -p quaywatch-tests --bench fusion`
//!
//! Everything goes through [`Engine::observe`], as in the daemon. Prints figures, judges none of them: machines are noisy, so
//! compare two runs on the same machine only. Allocations are counted and do not depend on the machine.

mod site;
mod traffic;

use quaywatch_fusion::Engine;
use quaywatch_schemas::{Control, Site, Situation, Stamped, site::Rules};
use site::{Size, all_rules, bookings, few_rules};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    collections::BTreeMap,
    time::{Duration, Instant},
};
use traffic::{Kind, Log};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KEY: [u8; 32] = [7; 32];
/// Lanes that vehicles pass, however large the site is.
const BUSY: usize = 4;
const CYCLES: usize = 100;
const BOOKED: usize = 600;

fn main() {
    by_kind();
    with_sensors();
    with_rules();
    with_patterns();
    with_partial_matches();
    with_references();
    with_things();
    with_time();
}

/// What a kind of observation costs at a gate of four lanes and a quay. What was due before an observation is worked out when
/// it comes and counted with it: a passage is concluded with the first record after it has settled.
fn by_kind() {
    println!("\nby kind, {BUSY} lanes and a quay, all rules");
    println!("{:<12} {:>9} {:>9} {:>12} {:>12}", "", "records", "ns each", "allocations", "bytes each");
    let mut bench = Bench::new(Size { lanes: BUSY, quays: 1 }, all_rules(), BOOKED);
    let mut records = traffic::vehicles(&mut bench.log, BUSY, CYCLES, BOOKED);
    records.extend(traffic::scans(&mut bench.log, 15, 300));
    records.extend(traffic::quiet(&mut bench.log, BUSY, 20_000));
    let mut of_kind: BTreeMap<Kind, Cost> = BTreeMap::new();
    for (kind, record) in records {
        of_kind.entry(kind).or_default().add(bench.observe(&record));
    }
    for (kind, cost) in &of_kind {
        println!("{kind:<12} {cost}");
    }
    println!("situations: {}", bench.situations);
}

/// The same traffic in the same four lanes of ever larger sites.
fn with_sensors() {
    println!("\nwith sensors: the same traffic in {BUSY} lanes");
    println!(
        "{:<12} {:>9} {:>9} {:>12} {:>12} {:>12}",
        "sensors", "records", "ns each", "allocations", "bytes each", "B a sensor"
    );
    for sensors in [10, 100, 1000, 10_000] {
        let lanes = (sensors / site::LANE.len()).max(BUSY);
        let before = live();
        let mut bench = Bench::new(Size { lanes, quays: 0 }, few_rules(), BOOKED);
        let cost = bench.run(|log| traffic::vehicles(log, BUSY, CYCLES, BOOKED));
        let each = (live() - before) as f64 / (lanes * site::LANE.len()) as f64;
        println!("{:<12} {cost} {each:>12.0}", lanes * site::LANE.len());
        snapshot(&bench.engine);
    }
}

/// The same traffic with few rules and with all of them.
fn with_rules() {
    println!("\nwith rules: the same traffic in {BUSY} lanes of 100");
    println!("{:<12} {:>9} {:>9} {:>12} {:>12}", "rules", "records", "ns each", "allocations", "bytes each");
    for (name, rules) in [("none", Rules::default()), ("few", few_rules()), ("all", all_rules())] {
        let mut bench = Bench::new(Size { lanes: 100, quays: 0 }, rules, BOOKED);
        let cost = bench.run(|log| traffic::vehicles(log, BUSY, CYCLES, BOOKED));
        println!("{name:<12} {cost}  {} situations", bench.situations);
    }
}

/// The same traffic with ever more patterns, of which only those of the busy lanes name a sensor that speaks.
fn with_patterns() {
    println!(
        "\nwith patterns: the same traffic in {BUSY} lanes of 100, one pattern in each of them, the others elsewhere"
    );
    println!("{:<12} {:>9} {:>9} {:>12} {:>12}", "patterns", "records", "ns each", "allocations", "bytes each");
    for patterns in [0, BUSY, 10, 100, 1000] {
        let mut site = site::site(Size { lanes: 100, quays: 0 }, few_rules());
        site.patterns = site::patterns(patterns, BUSY, &site);
        let mut bench = Bench::of(site, BOOKED);
        let cost = bench.run(|log| traffic::vehicles(log, BUSY, CYCLES, BOOKED));
        println!("{patterns:<12} {cost}  {} situations", bench.situations);
    }
}

/// The same traffic with one pattern in each lane that waits for ever more ends that never come.
fn with_partial_matches() {
    println!("\nwith partial matches: the same traffic in {BUSY} lanes, one pattern in each of them");
    println!("{:<12} {:>9} {:>9} {:>12} {:>12}", "waiting", "records", "ns each", "allocations", "bytes each");
    for partial in [1, 4, 16, 64] {
        let mut site = site::site(Size { lanes: BUSY, quays: 0 }, few_rules());
        site.patterns = site::unfinished(partial, BUSY, &site);
        let mut bench = Bench::of(site, BOOKED);
        bench.run(|log| traffic::vehicles(log, BUSY, CYCLES, BOOKED));
        let cost = bench.run(|log| traffic::vehicles(log, BUSY, CYCLES, BOOKED));
        let states = bench.engine.patterns();
        let dropped: u64 = states.iter().map(|state| u64::from(state.dropped)).sum();
        let stopped = states.iter().filter(|state| state.stopped).count();
        println!("{partial:<12} {cost}  {dropped} let go, {stopped} patterns stopped");
        snapshot(&bench.engine);
    }
}

/// The same traffic with ever more that a system of record knows.
fn with_references() {
    println!("\nwith bookings: the same traffic in {BUSY} lanes");
    println!(
        "{:<12} {:>9} {:>9} {:>12} {:>12} {:>12}",
        "bookings", "records", "ns each", "allocations", "bytes each", "taken in ms"
    );
    for booked in [0, 100, 1000, 10_000] {
        let began = Instant::now();
        let mut bench = Bench::new(Size { lanes: BUSY, quays: 0 }, all_rules(), booked);
        let taken = began.elapsed();
        let cost = bench.run(|log| traffic::vehicles(log, BUSY, CYCLES / 4, booked));
        println!("{booked:<12} {cost} {:>12.1}", taken.as_secs_f64() * 1e3);
    }
}

/// A radar that sees ever more things, each as far from the next.
fn with_things() {
    println!("\nwith things on a quay: 120 scans");
    println!(
        "{:<12} {:>9} {:>9} {:>12} {:>12} {:>12}",
        "things", "scans", "ns each", "allocations", "bytes each", "ns a thing"
    );
    for things in [1, 10, 50, 100, 250] {
        let mut bench = Bench::new(Size { lanes: 0, quays: 1 }, all_rules(), 0);
        let cost = bench.run(|log| traffic::scans(log, things, 120));
        println!("{things:<12} {cost} {:>12.0}", cost.nanoseconds() / things as f64);
    }
}

/// A long day: later records must not cost more than early ones, and nothing may pile up.
fn with_time() {
    println!("\nwith time: {BUSY} lanes, all rules");
    println!(
        "{:<12} {:>9} {:>9} {:>12} {:>12} {:>12}",
        "after", "records", "ns each", "allocations", "bytes each", "KiB live"
    );
    let mut bench = Bench::new(Size { lanes: BUSY, quays: 1 }, all_rules(), BOOKED);
    let empty = live();
    let mut after = 0;
    for (cycles, again) in [(10, 1), (90, 1), (100, 1), (100, 8)] {
        let mut cost = Cost::default();
        for _ in 0..again {
            cost = bench.run(|log| traffic::vehicles(log, BUSY, cycles, BOOKED));
            after += cost.count;
        }
        println!("{after:<12} {cost} {:>12.1}", (live() - empty) as f64 / 1024.0);
    }
    snapshot(&bench.engine);
}

fn snapshot(engine: &Engine) {
    let began = Instant::now();
    let bytes = engine.snapshot();
    let made = began.elapsed();
    let began = Instant::now();
    let restored = Engine::restore(KEY, &bytes).expect("its own snapshot");
    let took = began.elapsed();
    assert_eq!(restored.outputs(), engine.outputs());
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "  snapshot: {:.1} KiB, made in {:.2} ms, restored in {:.2} ms",
        bytes.len() as f64 / 1024.0,
        ms(made),
        ms(took)
    );
}

/// Bytes that are allocated now.
fn live() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

/// An engine that has a site and references, and the log it is fed from.
struct Bench {
    engine: Engine,
    log: Log,
    situations: usize,
}

impl Bench {
    fn new(size: Size, rules: Rules, booked: usize) -> Self {
        Self::of(site::site(size, rules), booked)
    }

    fn of(site: Site, booked: usize) -> Self {
        let mut bench = Self { engine: Engine::new(KEY), log: Log::new(), situations: 0 };
        let started = bench.log.control(Control::Started { build: "bench".into(), boot: [0; 16] });
        let applied = bench.log.site(site);
        let stated = bookings(booked, bench.log.wall());
        let stated = bench.log.control(Control::References(stated));
        for record in [started, applied, stated] {
            bench.engine.observe(&record);
        }
        bench.log.now = 60.0;
        bench
    }

    fn run(&mut self, records: impl FnOnce(&mut Log) -> Vec<(Kind, Stamped)>) -> Cost {
        let mut cost = Cost::default();
        for (_, record) in records(&mut self.log) {
            cost.add(self.observe(&record));
        }
        cost
    }

    fn observe(&mut self, record: &Stamped) -> Cost {
        let region = Region::new(ALLOCATOR);
        let began = Instant::now();
        let said: Vec<Situation> = self.engine.observe(record);
        let time = began.elapsed();
        let change = region.change();
        self.situations += said.len();
        Cost { count: 1, time, allocations: change.allocations + change.reallocations, bytes: change.bytes_allocated }
    }
}

/// What observations cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    count: usize,
    time: Duration,
    allocations: usize,
    bytes: usize,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.time += other.time;
        self.allocations += other.allocations;
        self.bytes += other.bytes;
    }

    /// Mean of one; reading the clock twice is in it, some 40 ns.
    fn nanoseconds(&self) -> f64 {
        self.time.as_nanos() as f64 / self.count.max(1) as f64
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = |sum: usize| sum as f64 / self.count.max(1) as f64;
        write!(
            out,
            "{:>9} {:>9.0} {:>12.2} {:>12.0}",
            self.count,
            self.nanoseconds(),
            each(self.allocations),
            each(self.bytes)
        )
    }
}
