//! Scans of radars, lidars and camera trackers as `quaywatch.frame.v1`, a small JSON format of our own.
//!
//! Every maker of such sensors has a format of its own, and most need a program beside them that tracks or converts: this is
//! what that program sends. Its schema is published as `schemas/published/frame.schema.json` (`quaywatch schema frame`).
//!
//! ```json
//! { "format": "quaywatch.frame.v1", "time": "2026-03-14T02:12:04.200Z", "frame": 18233,
//!   "detections": [
//!     { "class": "vessel", "confidence": 0.91, "speed_m_s": 1.2,
//!       "polar": { "range_m": 84.2, "bearing_deg": -12.5, "range_sd_m": 1.5, "bearing_sd_deg": 0.6 } },
//!     { "class": "person",
//!       "cartesian": { "x_m": 31.5, "y_m": -4.0, "sd_m": 0.4 } },
//!     { "cartesian": { "x_m": 120.0, "y_m": 2.5, "covariance_m2": [0.9, 0.1, 0.4] } }
//!   ] }
//! ```
//!
//! * `time` is the sensor's own, RFC 3339 with an offset; what its clock is worth the engine finds out. `frame` counts scans;
//!   the two together are the scan's identity, so that one sent twice counts once.
//! * **A scan that saw nothing is sent too**, with an empty list: it says that nothing is there. Not sending says that
//!   nobody looked, and after 10 s that is a finding.
//! * Each detection has exactly one of `polar` (metres, and degrees clockwise from the sensor's axis, which the site file has
//!   as its `mount`) and `cartesian` (metres in the site's grid), with standard deviations, or for `cartesian` the
//!   covariance xx, xy, yy in m². `class` is one of person, vehicle, vessel, animal, other; left out is other.
//! * At most 256 detections and 128 KiB. A field that is not in the format refuses the frame, and so does one wrong
//!   detection: half a scan would say that the other half is empty.
//!
//! Frames come over MQTT or a webhook, acknowledged as there, or stream over UDP (a frame a datagram, which holds 65,507 bytes)
//! or TCP (a frame a line; we connect). **UDP and plain TCP prove nobody**: keep them on a network of
//! their own. What does not fit into the ledger is counted and said as `no-data(overload)`.

mod decode;

pub use decode::{Source, decode};

use crate::{
    json::{self, Undecodable},
    line::Line,
    lines::Piece,
    overload::Overload,
    streamed::{self, Carrier, DeadLetters, Hears, Outage, Streamed},
    tap::{self, Tapped},
};
use quaywatch_schemas::Record;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A stream of frames, and whose they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where frames come from.
    pub carrier: Carrier,
    /// The sensor that scans.
    pub source: Source,
}

/// Takes frames until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let streamed = Streamed { carrier: config.carrier, longest: MOST_BYTES, whole_datagrams: true, idle: Some(IDLE) };
    let mut desk = Desk {
        line: &line,
        source: config.source,
        overload: Overload::default(),
        letters: DeadLetters::default(),
        outage: Outage::default(),
    };
    streamed::run(&line, &streamed, &mut desk).await;
}

/// The largest frame. Origin: 256 detections with everything are about 70 KB.
pub const MOST_BYTES: usize = 128 << 10;
/// A scanner that looks says so every few seconds at the slowest.
const IDLE: Duration = Duration::from_secs(30);

struct Desk<'a> {
    line: &'a Line,
    source: Source,
    overload: Overload,
    letters: DeadLetters,
    outage: Outage,
}

impl Hears for Desk<'_> {
    fn hear(&mut self, piece: Piece, _: Option<SocketAddr>, now: Instant) {
        let sensor = &self.source.sensor;
        let payload = match piece {
            Piece::Line(payload) => payload,
            Piece::TooLong(length) => {
                let why = format!("{length} bytes are more than {MOST_BYTES}");
                return self.letters.refuse(self.line, &self.overload, Some(sensor), &why, &[], now);
            }
        };
        let decoded = decode(&self.source, &payload);
        self.line.taps.show(sensor, || match &decoded {
            Ok(said) => Tapped {
                raw: json::parse(&payload).map(|message| tap::masked(&message, false)).unwrap_or_default(),
                decoded: tap::decoded(said),
            },
            Err(Undecodable(why)) => Tapped::undecodable(payload.len(), why),
        });
        match decoded {
            Ok(said) => {
                self.outage.over();
                self.overload.offer(&self.line.intake, vec![Record::Observation(said)]);
            }
            Err(Undecodable(why)) => {
                self.letters.refuse(self.line, &self.overload, Some(sensor), &why, &payload, now);
            }
        }
    }

    fn look(&mut self, reachable: bool, now: Instant) {
        if let Some(said) = self.outage.look(&self.source.sensor, reachable, now) {
            self.overload.offer(&self.line.intake, vec![said]);
        }
        self.overload.say(&self.line.intake);
    }
}
