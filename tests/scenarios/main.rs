//! Stories of a port: what its sensors say, and what the gateway must make of it.
//!
//! A scenario is a text file in the folder of its rule: the site, what every sensor says and when, and below `expect` the
//! situations that come of it, as a reader would want to check them. [`script`] says how it is written, [`render`] how
//! situations are. The runner stamps the signals, feeds them to the engine through its ordinary interface in several
//! interleavings of `advance` and with snapshots in between (all must give the same bytes), and compares.
//!
//! `SCENARIOS=write cargo test -p quaywatch-tests --test scenarios` writes what comes out into the files. Read every line of
//! the difference before you keep it: the file is the claim, the engine is what is tested.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod engine;
mod late;
mod products;
mod properties;
mod readme;
mod render;
mod script;
mod site;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// Runs every scenario of a folder; says what differs in all of them.
fn run(folder: &str) {
    let mut wrong = String::new();
    let files = files(folder);
    for needed in ["quiet", "alarm", "silent"] {
        let has =
            files.iter().any(|file| file.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(needed)));
        assert!(has, "{folder} needs a {needed} case");
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let scenario = script::Scenario::parse(&text, folder).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let situations = engine::play(&scenario);
        let rendered = render::situations(&situations, &scenario);
        if std::env::var_os("SCENARIOS").is_some_and(|wish| wish == "write") {
            let before_expect = text.split("\nexpect\n").next().unwrap();
            fs::write(&file, format!("{}\nexpect\n{rendered}", before_expect.trim_end_matches('\n'))).unwrap();
        } else if rendered.trim_end() != scenario.expected.trim_end() {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            writeln!(wrong, "\n{folder}/{name}  (- expected, + came)\n{}", difference(&scenario.expected, &rendered))
                .unwrap();
        }
        engine::same_bytes_however_it_is_fed(&scenario, &situations);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Lines that are in one text only, with what surrounds them; by the longest common subsequence.
fn difference(expected: &str, came: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.trim_end().lines().collect(), came.trim_end().lines().collect());
    let mut longest = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let kept = if a[i] == b[j] { longest[i + 1][j + 1] + 1 } else { 0 };
            longest[i][j] = kept.max(longest[i + 1][j]).max(longest[i][j + 1]);
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let (sign, line) = if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            (' ', a[i - 1])
        } else if j < b.len() && (i == a.len() || longest[i][j + 1] >= longest[i + 1][j]) {
            j += 1;
            ('+', b[j - 1])
        } else {
            i += 1;
            ('-', a[i - 1])
        };
        writeln!(out, "  {sign} {line}").unwrap();
    }
    out
}

macro_rules! folders {
    ($($(#[$doc:meta])* $test:ident = $folder:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[test]
        fn $test() {
            run($folder);
        }
    )*};
}

folders! {
    a_vehicle_passes = "passage",
    a_vehicle_follows_on_somebody_elses_grant = "tailgating",
    an_arm_opens_without_a_grant = "barrier-forced",
    a_weight_does_not_match_its_booking = "weight-mismatch",
    somebody_is_on_the_closed_quay = "quay-presence",
    a_mooring_line_nears_its_limit = "mooring-overload",
    a_sensor_stops_speaking = "sensor-silent",
    somebody_enters_after_a_camera_went_blind = "blinded-before-access",
    a_node_is_tampered_with = "node-tamper",
    a_pattern_sees_a_second_vehicle_follow = "pattern-tailgating",
    a_pattern_sees_somebody_stay = "pattern-dwell",
    a_pattern_sees_that_nobody_came = "pattern-absence",
    a_pattern_needs_two_that_do_not_fail_together = "pattern-two-of-three",
    a_pattern_sees_a_load_rise_quickly = "pattern-rate",
    a_pattern_sees_a_limit_passed_once = "pattern-threshold",
    a_pattern_sees_a_plate_come_back = "pattern-comes-back",
    a_pattern_waits_for_what_the_gateway_says = "pattern-unexplained",
    one_credential_comes_in_twice = "pass-back",
    one_credential_is_at_two_places_too_soon = "impossible-travel",
    a_credential_is_where_its_holder_may_not_be = "out-of-zone",
    a_credential_is_used_outside_its_holders_shift = "out-of-hours",
    a_credential_is_where_it_never_was_at_this_hour = "first-time-zone",
    one_is_refused_and_another_opens_the_door = "denied-then-granted",
    somebody_is_let_in_and_nobody_goes = "not-taken",
    a_door_stands_open_or_opens_without_leave = "door-held",
    more_people_pass_than_were_let_in = "on-foot",
    a_vehicle_passes_that_nobody_booked = "unbooked",
    a_tag_belongs_to_another_vehicle = "tag-mismatch",
    a_container_is_not_the_booked_one = "container-mismatch",
    a_reader_does_not_see_what_passes = "sensor-blind",
    a_loop_does_not_change_any_more = "sensor-stuck",
    a_scale_measures_wrong = "sensor-drift",
    a_source_s_clock_is_set = "clock-step",
    something_stays_longer_than_it_should = "dwell",
    a_vessel_does_not_say_who_it_is = "small-craft",
    a_vehicle_drives_against_the_lane = "wrong-way",
    a_sensor_contradicts_the_others = "sensor-conflict",
}

/// Words that officers must never read in what the gateway says: it accuses nobody.
#[test]
fn nothing_that_is_said_accuses_anybody() {
    for rule in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap() {
        let rule = rule.unwrap().path();
        if !rule.is_dir() {
            continue;
        }
        for file in files(&rule.file_name().unwrap().to_string_lossy()) {
            let text = fs::read_to_string(&file).unwrap();
            let said = text.split_once("\nexpect\n").unwrap().1.to_lowercase();
            for word in ["suspect", "intruder", "log-odds", "disposition"] {
                assert!(!said.contains(word), "{}: says {word}", file.display());
            }
        }
    }
}
