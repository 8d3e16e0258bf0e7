//! From a frame to an observation. Pure.

use super::MOST_BYTES;
use crate::{
    json::{Undecodable, expected},
    strict,
};
use quaywatch_schemas::{
    Observation, Reading, SensorId, WallTime,
    observation::{DetectedPosition, Detection, Frame, ObjectClass, SourceId, SourceTime},
    scan::{Cartesian, Class, MOST_DETECTIONS, Polar, Scan, Seen},
    units::{Finite, Probability},
};

/// Who scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The sensor.
    pub sensor: SensorId,
    /// Whether it may give distance and bearing; without a mount nobody could say where that is.
    pub polar: bool,
}

/// Decodes one frame.
pub fn decode(source: &Source, payload: &[u8]) -> Result<Observation, Undecodable> {
    let Scan { format: _, time, frame, detections } = strict::read(payload, MOST_BYTES, FIELDS)?;
    let at = time.parse::<jiff::Timestamp>().ok().and_then(|at| i64::try_from(at.as_nanosecond()).ok());
    let at = WallTime(at.ok_or_else(|| expected("/time", "an RFC 3339 time with an offset"))?);
    if detections.len() > MOST_DETECTIONS {
        return Err(expected("/detections", &format!("at most {MOST_DETECTIONS}")));
    }
    let detections = detections.iter().enumerate().map(|(index, seen)| detection(source, index, seen));
    let detections = detections.collect::<Result<_, _>>()?;
    Ok(Observation {
        source_id: Some(SourceId::of(&source.sensor, &[b"scan", &frame.to_le_bytes(), &at.0.to_le_bytes()])),
        observed_at: Some(SourceTime { at, uncertainty_ms: 0 }),
        ..Observation::live(source.sensor.clone(), Reading::Frame(Frame { detections }))
    })
}

const FIELDS: &[&str] = &[
    "format",
    "time",
    "frame",
    "detections",
    "class",
    "confidence",
    "polar",
    "cartesian",
    "speed_m_s",
    "range_m",
    "bearing_deg",
    "range_sd_m",
    "bearing_sd_deg",
    "x_m",
    "y_m",
    "sd_m",
    "covariance_m2",
];

fn detection(source: &Source, index: usize, seen: &Seen) -> Result<Detection, Undecodable> {
    let place = format!("/detections/{index}");
    let position = match (&seen.polar, &seen.cartesian) {
        (Some(_), None) if !source.polar => {
            return Err(expected(&place, "cartesian: the site file says that this sensor gives nothing else"));
        }
        (Some(said), None) => polar(&format!("{place}/polar"), said)?,
        (None, Some(said)) => cartesian(&format!("{place}/cartesian"), said)?,
        _ => return Err(expected(&place, "exactly one of polar and cartesian")),
    };
    let confidence = seen.confidence.map(Probability::new).transpose();
    let speed = seen.speed_m_s.map(|speed| within(&place, "speed_m_s", speed, 0.0..=200.0)).transpose()?;
    Ok(Detection {
        class: match seen.class {
            Some(Class::Person) => ObjectClass::Person,
            Some(Class::Vehicle) => ObjectClass::Vehicle,
            Some(Class::Vessel) => ObjectClass::Vessel,
            Some(Class::Animal) => ObjectClass::Animal,
            Some(Class::Other) | None => ObjectClass::Other,
        },
        confidence: confidence.map_err(|_| expected(&format!("{place}/confidence"), "0 to 1"))?,
        position: Some(position),
        speed,
        zones: Vec::new(),
    })
}

/// Metres: a grid and a view end there.
const FARTHEST: f64 = 100_000.0;
/// A standard deviation of more says nothing about where anything is.
const VAGUEST: f64 = 10_000.0;
/// Smaller than any sensor's; squares of it are still numbers.
const SHARPEST: f64 = 1e-6;

fn polar(place: &str, said: &Polar) -> Result<DetectedPosition, Undecodable> {
    let bearing = within(place, "bearing_deg", said.bearing_deg, -180.0..=360.0)?.get();
    let bearing = if bearing > 180.0 { bearing - 360.0 } else { bearing };
    let bearing_sd = within(place, "bearing_sd_deg", said.bearing_sd_deg, SHARPEST..=180.0)?.get();
    let radians = |field: &str, degrees: f64| {
        Finite::new(degrees.to_radians()).map_err(|_| expected(&format!("{place}/{field}"), "a number"))
    };
    Ok(DetectedPosition::Polar {
        range: within(place, "range_m", said.range_m, 0.0..=FARTHEST)?,
        bearing: radians("bearing_deg", bearing)?,
        range_sd: within(place, "range_sd_m", said.range_sd_m, SHARPEST..=VAGUEST)?,
        bearing_sd: radians("bearing_sd_deg", bearing_sd)?,
    })
}

fn cartesian(place: &str, said: &Cartesian) -> Result<DetectedPosition, Undecodable> {
    let [xx, xy, yy] = match (said.sd_m, said.covariance_m2) {
        (Some(sd), None) => {
            let sd = within(place, "sd_m", sd, SHARPEST..=VAGUEST)?.get();
            [sd * sd, 0.0, sd * sd]
        }
        (None, Some(covariance)) => covariance,
        _ => return Err(expected(place, "exactly one of sd_m and covariance_m2")),
    };
    let variance = SHARPEST * SHARPEST..=VAGUEST * VAGUEST;
    // Written so that NaN is refused.
    if !(variance.contains(&xx) && variance.contains(&yy) && xx * yy - xy * xy > 0.0) {
        let what = "the covariance xx, xy, yy of a place in m², which is positive definite";
        return Err(expected(&format!("{place}/covariance_m2"), what));
    }
    let finite = |number| Finite::new(number).map_err(|_| expected(place, "finite numbers"));
    Ok(DetectedPosition::Cartesian {
        x: within(place, "x_m", said.x_m, -FARTHEST..=FARTHEST)?,
        y: within(place, "y_m", said.y_m, -FARTHEST..=FARTHEST)?,
        covariance: [finite(xx)?, finite(xy)?, finite(yy)?],
    })
}

fn within(place: &str, field: &str, number: f64, range: std::ops::RangeInclusive<f64>) -> Result<Finite, Undecodable> {
    let wrong = || expected(&format!("{place}/{field}"), &format!("{} to {}", range.start(), range.end()));
    if range.contains(&number) { Finite::new(number).map_err(|_| wrong()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn source() -> Source {
        Source { sensor: SensorId::new("radar").unwrap(), polar: true }
    }

    fn scan(detections: &Value) -> Value {
        json!({"format": "quaywatch.frame.v1", "time": "2026-03-14T02:12:04.2Z", "frame": 7, "detections": detections})
    }

    fn read(message: &Value) -> Result<Observation, Undecodable> {
        decode(&source(), message.to_string().as_bytes())
    }

    fn polar() -> Value {
        json!({"polar": {"range_m": 84.2, "bearing_deg": 347.5, "range_sd_m": 1.5, "bearing_sd_deg": 0.5}})
    }

    #[test]
    fn a_scan_that_saw_nothing_says_so() {
        let said = read(&scan(&json!([]))).unwrap();
        assert_eq!(said.reading, Reading::Frame(Frame { detections: Vec::new() }));
        assert_eq!(said.observed_at.unwrap().at, WallTime(1_773_454_324_200_000_000));
        let mut without = scan(&json!([]));
        without.as_object_mut().unwrap().remove("detections");
        assert!(read(&without).unwrap_err().0.contains("`detections` is missing"));
    }

    #[test]
    fn bearings_turn_to_both_sides_and_come_out_in_radians() {
        let said = read(&scan(&json!([polar()]))).unwrap();
        let Reading::Frame(frame) = said.reading else { panic!("a frame") };
        let Some(DetectedPosition::Polar { bearing, bearing_sd, .. }) = frame.detections[0].position else {
            panic!("polar")
        };
        assert!((bearing.get() - (-12.5_f64).to_radians()).abs() < 1e-12);
        assert!((bearing_sd.get() - 0.5_f64.to_radians()).abs() < 1e-12);
        assert_eq!(frame.detections[0].class, ObjectClass::Other);
    }

    #[test]
    fn the_same_scan_sent_again_is_the_same_and_a_counter_that_began_again_is_not() {
        let first = read(&scan(&json!([]))).unwrap().source_id;
        assert_eq!(first, read(&scan(&json!([]))).unwrap().source_id);
        for (field, value) in [("frame", json!(8)), ("time", json!("2026-03-14T03:12:04.2Z"))] {
            let mut other = scan(&json!([]));
            other[field] = value;
            assert_ne!(first, read(&other).unwrap().source_id, "{field}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_where_it_is_and_not_repeated() {
        let place = |cartesian: Value| json!([{"cartesian": cartesian}]);
        let cases = [
            (json!([{}]), r#"at "/detections/0": expected exactly one of polar and cartesian"#),
            (json!([polar(), {"class": "SECRET"}]), r#"at "/detections/1/class": expected one of `person`"#),
            (json!([{"speed": 1}]), r#"at "/detections/0": a field that is not known"#),
            (place(json!({"x_m": 1, "y_m": 2})), "exactly one of sd_m and covariance_m2"),
            (place(json!({"x_m": 1, "y_m": 2, "sd_m": 0})), r#"at "/detections/0/cartesian/sd_m""#),
            (place(json!({"x_m": 1e6, "y_m": 2, "sd_m": 1})), r#"at "/detections/0/cartesian/x_m": expected -100000"#),
            (place(json!({"x_m": 1, "y_m": 2, "covariance_m2": [1, 2, 1]})), "positive definite"),
            (
                place(json!({"x_m": 1, "y_m": 2, "covariance_m2": [1, 2]})),
                r#"at "/detections/0/cartesian/covariance_m2""#,
            ),
            (json!([{"confidence": 1.5, "cartesian": {"x_m": 1, "y_m": 2, "sd_m": 1}}]), "/detections/0/confidence"),
            (json!([{"speed_m_s": -1, "cartesian": {"x_m": 1, "y_m": 2, "sd_m": 1}}]), "/detections/0/speed_m_s"),
            (json!(vec![polar(); 257]), r#"at "/detections": expected at most 256"#),
        ];
        for (detections, says) in cases {
            let why = read(&scan(&detections)).unwrap_err().0;
            assert!(why.contains(says) && !why.contains("SECRET"), "{why}");
        }
        assert!(read(&scan(&json!(vec![polar(); 256]))).is_ok());
        assert!(decode(&source(), b"\"SECRET\"").unwrap_err().0.contains("expected a frame"));
        let mut other = scan(&json!([]));
        other["format"] = json!("SECRET");
        assert!(read(&other).unwrap_err().0.contains("`quaywatch.frame.v1`"));
        other = scan(&json!([]));
        other["time"] = json!("2026-03-14T02:12:04");
        assert!(read(&other).unwrap_err().0.contains("with an offset"));
        let grid_only = Source { polar: false, ..source() };
        let why = decode(&grid_only, scan(&json!([polar()])).to_string().as_bytes()).unwrap_err().0;
        assert!(why.contains("cartesian"), "{why}");
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down_and_nothing_infinite_comes_through(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            number in prop_oneof![any::<f64>(), -1e3..1e3f64],
            sd in prop_oneof![any::<f64>(), 0.0..10.0f64],
        ) {
            let _ = decode(&source(), &bytes);
            for detection in [
                json!({"cartesian": {"x_m": number, "y_m": number, "covariance_m2": [sd, number, sd]}}),
                json!({"polar": {"range_m": number, "bearing_deg": number, "range_sd_m": sd, "bearing_sd_deg": sd}}),
            ] {
                if let Ok(said) = read(&scan(&json!([detection]))) {
                    let Reading::Frame(frame) = said.reading else { panic!("a frame") };
                    match frame.detections[0].position {
                        Some(DetectedPosition::Polar { bearing, .. }) => prop_assert!(bearing.get().abs() <= 3.15),
                        Some(DetectedPosition::Cartesian { covariance: [xx, xy, yy], .. }) => {
                            prop_assert!(xx.get() * yy.get() > xy.get() * xy.get());
                        }
                        None => prop_assert!(false, "a position"),
                    }
                }
            }
        }
    }
}
