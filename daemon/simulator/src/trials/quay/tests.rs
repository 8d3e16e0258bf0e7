use super::*;

#[test]
fn a_trial_is_its_preset_and_its_seed() {
    let files = |seed| Trial::make(&Preset::QUAY, seed).files().unwrap();
    assert_eq!(files(5), files(5));
    assert_ne!(files(5), files(6));
}

#[test]
fn a_frame_is_followed_by_the_positions_it_promises() {
    let trial = Trial::make(&Preset::DENSE, 3);
    let mut observations = trial.observations.iter().filter(|one| !matches!(one.what, What::Pir {}));
    let mut frames = 0;
    while let Some(frame) = observations.next() {
        let What::Frame { n } = frame.what else { panic!("a position without a frame at {}", frame.rx) };
        frames += 1;
        for _ in 0..n {
            let position = observations.next().unwrap();
            assert!(matches!(position.what, What::Pos { .. }));
            assert_eq!((position.sensor, position.frame, position.t), (frame.sensor, frame.frame, frame.t));
        }
    }
    assert_eq!(frames, 301 + 601 + 600);
    assert!(trial.observations.windows(2).all(|pair| pair[0].rx <= pair[1].rx));
}

#[test]
fn things_move_as_fast_as_they_say_and_stay_in_the_area() {
    let trial = Trial::make(&Preset::DENSE, 7);
    let mut compared = 0;
    for pair in trial.truth.windows(2) {
        for (id, class, x, y, vx, vy) in &pair[0].objs {
            assert!((AREA[0]..=AREA[1]).contains(x) && (AREA[2]..=AREA[3]).contains(y), "{class} {id} at {x}, {y}");
            let Some(later) = pair[1].objs.iter().find(|other| other.0 == *id) else { continue };
            let moved = libm::hypot(later.2 - x - (vx + later.4) / 2.0, later.3 - y - (vy + later.5) / 2.0);
            assert!(moved < 3.0, "{class} {id} jumped by {moved} m");
            compared += 1;
        }
    }
    assert!(compared > 5000, "{compared}");
}

#[test]
fn a_position_says_what_the_benchmarks_expect_of_it() {
    let trial = Trial::make(&Preset::QUAY, 5);
    let keys = |sensor: &str, kind: &str| {
        let all = trial.observations.iter().map(|one| serde_json::to_value(one).unwrap());
        let found = all.into_iter().find(|one| one["sensor"].as_str().unwrap().starts_with(sensor) && one["k"] == kind);
        let found = found.unwrap();
        found.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let mut said: Vec<String> = Vec::new();
    for (sensor, kind) in [("radar", "frame"), ("radar", "pos"), ("cam", "pos"), ("pir", "pir")] {
        let mut words: Vec<String> = keys(sensor, kind).split(' ').map(str::to_owned).collect();
        words.sort();
        said.push(words.join(" "));
    }
    assert_eq!(
        said,
        [
            "frame k n rx sensor t",
            "b cov frame k r rx sensor t x y",
            "cls conf cov frame k rx sensor t x y",
            "k rx sensor t",
        ]
    );
}
