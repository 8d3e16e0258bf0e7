//! Sentences written by an encoder of the tests' own, and lines that no receiver sends.

use super::*;
use proptest::prelude::*;

/// Writes messages bit by bit.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn put(mut self, number: i64, bits: usize) -> Self {
        let bit = |bit: usize| bit < 64 && number >> bit & 1 == 1;
        self.0.extend((0..bits).rev().map(bit));
        self
    }

    fn text(mut self, text: &str, letters: usize) -> Self {
        for index in 0..letters {
            let letter = text.as_bytes().get(index).map_or(0, |letter| i64::from(letter % 64));
            self = self.put(letter, 6);
        }
        self
    }

    /// The sentences of it, at most `most` characters of armour each.
    fn sentences(self, most: usize, sequence: &str, channel: &str) -> Vec<String> {
        let fill = (6 - self.0.len() % 6) % 6;
        let bits: Vec<bool> = self.0.into_iter().chain(std::iter::repeat_n(false, fill)).collect();
        let letter = |six: &[bool]| {
            let value = six.iter().fold(0u8, |value, bit| value << 1 | u8::from(*bit));
            char::from(if value < 40 { value + 48 } else { value + 56 })
        };
        let armour: Vec<char> = bits.chunks(6).map(letter).collect();
        let parts: Vec<String> = armour.chunks(most).map(|part| part.iter().collect()).collect();
        let total = parts.len();
        let sentence = |(index, part): (usize, &String)| {
            let fill = if index + 1 == total { fill } else { 0 };
            let sequence = if total == 1 { "" } else { sequence };
            signed(&format!("AIVDM,{total},{},{sequence},{channel},{part},{fill}", index + 1))
        };
        parts.iter().enumerate().map(sentence).collect()
    }

    fn sentence(self) -> String {
        self.sentences(200, "", "A").remove(0)
    }
}

fn signed(body: &str) -> String {
    format!("!{body}*{:02X}", body.bytes().fold(0, |sum, byte| sum ^ byte))
}

const MMSI: i64 = 244_123_456;

/// A class A report: degrees, tenths of a knot, tenths of a degree, degrees, second.
fn class_a(latitude: f64, longitude: f64, speed: i64, course: i64, heading: i64, second: i64) -> Writer {
    Writer::default()
        .put(1, 6)
        .put(0, 2)
        .put(MMSI, 30)
        .put(0, 4)
        .put(-128, 8)
        .put(speed, 10)
        .put(1, 1)
        .put((longitude * 600_000.0).round() as i64, 28)
        .put((latitude * 600_000.0).round() as i64, 27)
        .put(course, 12)
        .put(heading, 9)
        .put(second, 6)
        .put(0, 25)
}

fn class_b(kind: i64) -> Writer {
    Writer::default()
        .put(kind, 6)
        .put(0, 2)
        .put(MMSI, 30)
        .put(0, 8)
        .put(52, 10)
        .put(0, 1)
        .put((-4.05_f64 * 600_000.0).round() as i64, 28)
        .put((-33.9_f64 * 600_000.0).round() as i64, 27)
        .put(905, 12)
        .put(90, 9)
        .put(30, 6)
}

fn voyage(name: &str, imo: i64) -> Writer {
    Writer::default()
        .put(5, 6)
        .put(0, 2)
        .put(MMSI, 30)
        .put(0, 2)
        .put(imo, 30)
        .text("QW7", 7)
        .text(name, 20)
        .put(70, 8)
        .put(150, 9)
        .put(30, 9)
        .put(10, 6)
        .put(12, 6)
        .put(0, 424 - 270)
}

/// 2026-03-14T02:12:04Z.
const WALL: i64 = 1_773_454_324;

struct Bench {
    receiver: Receiver,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { receiver: Receiver::new(SensorId::new("vhf").unwrap()), start: Instant::now() }
    }

    fn at(&mut self, line: &str, seconds: u64) -> Result<Option<Observation>, Undecodable> {
        let wall = WallTime((WALL + i64::try_from(seconds).unwrap()) * NANOS);
        self.receiver.hear(line.as_bytes(), None, Moment { now: self.start + Duration::from_secs(seconds), wall })
    }

    fn vessel(&mut self, line: &str, seconds: u64) -> Cooperative {
        match self.at(line, seconds).unwrap().map(|said| said.reading) {
            Some(Reading::Cooperative(said)) => said,
            other => panic!("{other:?}"),
        }
    }
}

fn near(said: Option<Finite>, expected: f64) -> bool {
    said.is_some_and(|said| (said.get() - expected).abs() < 1e-4)
}

#[test]
fn a_class_a_report_is_a_position_in_our_units() {
    let mut bench = Bench::new();
    let said = bench.at(&class_a(51.95, 4.05, 123, 2715, 270, 3).sentence(), 0).unwrap().unwrap();
    assert_eq!(said.observed_at, Some(SourceTime { at: WallTime((WALL - 1) * NANOS), uncertainty_ms: 1000 }));
    let Reading::Cooperative(said) = said.reading else { panic!("a position") };
    assert_eq!(said.mmsi, 244_123_456);
    assert!(near(Some(said.latitude), 51.95) && near(Some(said.longitude), 4.05));
    assert!(near(said.speed, 12.3 * 0.514_444) && near(said.course, 271.5) && near(said.heading, 270.0));
    assert!(near(said.accuracy_m, 10.0) && said.name.is_none());
}

#[test]
fn what_is_not_available_is_left_out_and_a_report_without_a_place_is_a_sign_of_life() {
    let mut bench = Bench::new();
    let said = bench.at(&class_a(51.95, 4.05, 1023, 3600, 511, 60).sentence(), 0).unwrap().unwrap();
    assert_eq!(said.observed_at, None);
    let Reading::Cooperative(said) = said.reading else { panic!("a position") };
    assert_eq!((said.speed, said.course, said.heading), (None, None, None));
    for (latitude, longitude) in [(91.0, 181.0), (91.0, 4.0), (51.0, 181.0)] {
        let line = class_a(latitude, longitude, 0, 0, 0, 0).sentence();
        assert_eq!(Bench::new().at(&line, 0).unwrap().unwrap().reading, Reading::Health(Health::Alive));
    }
    let nowhere = class_a(95.0, 4.0, 0, 0, 0, 0).sentence();
    assert!(Bench::new().at(&nowhere, 0).unwrap_err().0.contains("not on the Earth"));
}

#[test]
fn class_b_and_long_range_reports_are_read_at_their_own_places() {
    let mut bench = Bench::new();
    let said = bench.vessel(&class_b(18).put(0, 29).sentence(), 0);
    assert!(near(Some(said.latitude), -33.9) && near(Some(said.longitude), -4.05) && near(said.course, 90.5));
    assert!(near(said.accuracy_m, 30.0));
    let extended = class_b(19).put(0, 4).text("QW SLOEP", 20).put(37, 8).put(6, 9).put(3, 9).put(0, 41).sentence();
    let said = bench.vessel(&extended, 10);
    assert_eq!((said.name.as_deref(), said.ship_type), (Some("QW SLOEP"), Some(37)));
    assert!(near(said.length_m, 9.0));
    let far = Writer::default().put(27, 6).put(0, 2).put(MMSI, 30).put(0, 2).put(0, 4);
    let far = far.put(2430, 18).put(31_170, 17).put(12, 6).put(271, 9).put(0, 2).sentence();
    let said = bench.vessel(&far, 20);
    assert!(near(Some(said.latitude), 51.95) && near(Some(said.longitude), 4.05) && near(said.accuracy_m, 100.0));
    assert_eq!(said.name.as_deref(), Some("QW SLOEP"), "what it said of itself before");
}

#[test]
fn a_name_comes_in_two_sentences_in_any_order_and_goes_with_the_next_position() {
    let mut bench = Bench::new();
    let parts = voyage("QW ANNA", 9_074_729).sentences(56, "3", "B");
    assert_eq!(parts.len(), 2);
    assert_eq!(bench.at(&parts[1], 0), Ok(None));
    // Complete, and no position: the receiver is alive.
    assert_eq!(bench.at(&parts[0], 0).unwrap().unwrap().reading, Reading::Health(Health::Alive));
    let said = bench.vessel(&class_a(51.95, 4.05, 0, 0, 0, 5).sentence(), 1);
    assert_eq!((said.name.as_deref(), said.ship_type, said.imo), (Some("QW ANNA"), Some(70), Some(9_074_729)));
    assert!(near(said.length_m, 180.0));
    let wrong = voyage("QW ANNA", 9_074_728).sentences(56, "4", "B");
    wrong.iter().for_each(|part| assert_eq!(bench.at(part, 2), Ok(None)));
    let said = bench.vessel(&class_a(51.95, 4.05, 0, 0, 0, 6).sentence(), 3);
    assert_eq!(said.imo, Some(9_074_729), "a wrong one is none and replaces nothing");
}

#[test]
fn class_b_says_its_name_and_its_kind_apart() {
    let mut bench = Bench::new();
    let part = |part: i64| Writer::default().put(24, 6).put(0, 2).put(MMSI, 30).put(part, 2);
    bench.at(&part(0).text("QW SLOEP", 20).sentence(), 0).unwrap();
    let second = part(1).put(36, 8).put(0, 42).text("QW7", 7).put(5, 9).put(4, 9).put(0, 18);
    bench.at(&second.sentence(), 1).unwrap();
    let said = bench.vessel(&class_b(18).put(0, 29).sentence(), 2);
    assert_eq!((said.name.as_deref(), said.ship_type), (Some("QW SLOEP"), Some(36)));
    assert!(near(said.length_m, 9.0));
}

#[test]
fn two_receivers_that_number_alike_do_not_spoil_each_others_messages() {
    let mut bench = Bench::new();
    let [one, two] = [voyage("QW ANNA", 0), voyage("QW BERTA", 0)].map(|message| message.sentences(56, "1", "A"));
    let from = |port| Some(SocketAddr::from(([10, 0, 0, 1], port)));
    let at = Moment { now: bench.start, wall: WallTime(WALL * NANOS) };
    for (line, port) in [(&one[0], 1), (&two[0], 2), (&two[1], 2), (&one[1], 1)] {
        bench.receiver.hear(line.as_bytes(), from(port), at).unwrap();
    }
    assert_eq!(bench.receiver.forget(bench.start), 0);
    let said = bench.vessel(&class_a(51.95, 4.05, 0, 0, 0, 5).sentence(), 1);
    assert_eq!(said.name.as_deref(), Some("QW ANNA"), "the last that was whole");
}

#[test]
fn a_part_that_never_comes_is_counted_and_does_not_wait_for_ever() {
    let mut bench = Bench::new();
    let parts = voyage("QW ANNA", 0).sentences(56, "3", "B");
    bench.at(&parts[0], 0).unwrap();
    assert_eq!(bench.at(&parts[1], 3), Ok(None), "too late: it waits for a first part of its own");
    assert_eq!(bench.receiver.forget(bench.start + Duration::from_secs(3)), 1);
    assert_eq!(bench.receiver.forget(bench.start + Duration::from_secs(9)), 1);
    // More at once than are waited for: the oldest goes.
    for sequence in 0..10 {
        for channel in ["A", "B"] {
            let part = voyage("QW ANNA", 0).sentences(56, &sequence.to_string(), channel).remove(0);
            bench.at(&part, 10).unwrap();
        }
    }
    assert_eq!(bench.receiver.forget(bench.start + Duration::from_secs(10)), 4);
}

#[test]
fn a_report_heard_twice_is_said_once() {
    let mut bench = Bench::new();
    let line = class_a(51.95, 4.05, 0, 0, 0, 5).sentence();
    bench.vessel(&line, 0);
    assert_eq!(bench.at(&line, 1), Ok(None));
    bench.vessel(&line, 180);
}

#[test]
fn a_stations_own_time_is_taken_before_ours() {
    let mut bench = Bench::new();
    let tag = format!("c:{},s:quay", WALL - 3600);
    let sum = tag.bytes().fold(0, |sum, byte| sum ^ byte);
    let line = format!("\\{tag}*{sum:02X}\\{}", class_a(51.95, 4.05, 0, 0, 0, 3).sentence());
    let said = bench.at(&line, 0).unwrap().unwrap();
    assert_eq!(said.observed_at.unwrap().at, WallTime((WALL - 3601) * NANOS));
}

#[test]
fn the_second_of_a_report_is_near_the_clock_over_the_minute_and_far_from_nothing() {
    // The clock says :04.
    let base = WallTime(WALL * NANOS + 999);
    for (second, seconds) in [(4, 0), (3, -1), (59, -5), (10, 6), (19, 15), (20, -44), (0, -4)] {
        assert_eq!(nearest(base, second), WallTime((WALL + seconds) * NANOS), "{second}");
    }
    assert!(nearest(WallTime(i64::MAX), 5).0 > 0 && nearest(WallTime(i64::MIN), 5).0 < 0);
}

#[test]
fn stations_aids_and_other_sentences_are_left_out_and_show_that_the_receiver_lives() {
    let mut bench = Bench::new();
    let aid = || Writer::default().put(21, 6).put(0, 2).put(992_441_234, 30).put(0, 234).sentence();
    assert_eq!(bench.at(&aid(), 0).unwrap().unwrap().reading, Reading::Health(Health::Alive));
    assert_eq!(bench.at(&aid(), 30), Ok(None), "said already");
    assert!(bench.at(&aid(), 61).unwrap().is_some());
    let weather = "$WIMWV,214.8,R,0.1,K,A";
    let sum = weather[1..].bytes().fold(0, |sum, byte| sum ^ byte);
    for other in [&format!("{weather}*{sum:02X}"), "# a comment", ""] {
        assert_eq!(bench.at(other, 200), Ok(None), "{other}");
    }
}

#[test]
fn what_is_no_sentence_or_no_message_is_refused_with_a_reason_that_repeats_nothing() {
    let good = class_a(51.95, 4.05, 0, 0, 0, 5).sentence();
    let stranger = Writer::default().put(1, 6).put(0, 2).put(123_456_789, 30).put(0, 130).sentence();
    for (line, says) in [
        ("GET /SECRET HTTP/1.1", "no NMEA sentence"),
        ("!AIVDM,1,1,,A,SECRET,0", "no checksum"),
        ("!AIVDM,1,1,,A,SECRET,0*ZZ", "two hexadecimal digits"),
        (&good.replace(",A,", ",B,"), "checksum is wrong"),
        (&signed("AIVDM,1,1,,A,SECRET"), "seven fields"),
        (&signed("AIVDM,0,1,,A,SECRET,0"), "how many"),
        (&signed("AIVDM,2,3,1,A,SECRET,0"), "which of"),
        (&signed("AIVDM,2,1,,A,SECRET,0"), "joins"),
        (&signed("AIVDM,1,1,,AB,SECRET,0"), "channel"),
        (&signed("AIVDM,1,1,,A,SECRET,7"), "fill bits"),
        (&signed("AIVDM,1,1,,A,,0"), "whole characters"),
        (&signed("AIVDM,1,1,,A,~~~~,0"), "no armour has"),
        (&signed("AIVDM,1,1,,A,1,0"), "too short"),
        (&signed("AIVDM,1,1,,A,1SECRE,0"), "too short"),
        (&signed(&format!("AIVDM,1,1,,A,{},0", "1".repeat(300))), "longer than AIS"),
        (&stranger, "no vessel has"),
        ("\\c:1773454324", "no end"),
    ] {
        let why = Bench::new().at(line, 0).unwrap_err().0;
        assert!(why.contains(says) && !why.contains("SECRET"), "{line}: {why}");
    }
}

proptest! {
    #[test]
    fn any_position_comes_back_as_it_was_sent(
        latitude in -90.0..90.0f64, longitude in -180.0..180.0f64, speed in 0i64..1023, course in 0i64..3600,
        heading in 0i64..360, second in 0i64..60,
    ) {
        let said = Bench::new().vessel(&class_a(latitude, longitude, speed, course, heading, second).sentence(), 0);
        // A ten-thousandth of a minute is 0.2 m.
        prop_assert!((said.latitude.get() - latitude).abs() < 2e-6 && (said.longitude.get() - longitude).abs() < 2e-6);
        prop_assert!(near(said.course, course as f64 / 10.0) && near(said.heading, heading as f64));
        prop_assert!(near(said.speed, speed as f64 * 0.1 * 1852.0 / 3600.0));
    }

    #[test]
    fn no_line_brings_it_down_and_what_comes_after_is_heard(
        lines in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..120).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                "[0-9:-W`-w]{0,80}".prop_map(|armour| signed(&format!("AIVDM,1,1,,A,{armour},0"))),
                (1u8..5, 1u8..5, 0u8..10, "[0-9:-W`-w]{1,60}")
                    .prop_map(|(total, number, sequence, armour)| {
                        signed(&format!("AIVDM,{total},{number},{sequence},A,{armour},0"))
                    }),
                "\\\\c:[0-9]{0,25}\\*[0-9A-F]{2}\\\\",
            ],
            0..40,
        ),
    ) {
        let mut bench = Bench::new();
        for line in &lines {
            if let Ok(Some(said)) = bench.at(line, 0) && let Reading::Cooperative(said) = said.reading {
                prop_assert!(said.latitude.get().abs() <= 90.0 && said.longitude.get().abs() <= 180.0);
                prop_assert!(said.name.is_none_or(|name| (1..=20).contains(&name.len())));
            }
        }
        bench.vessel(&class_a(51.95, 4.05, 7, 0, 0, 5).sentence(), 300);
    }
}
