//! Vessels' own words: AIS as NMEA 0183 sentences (`!AIVDM`, `!AIVDO`), over UDP, TCP or a serial port.
//!
//! Formats: NMEA 0183 / IEC 61162-1 for sentences and tag blocks, ITU-R M.1371-5 annex 8 for messages. Read are:
//!
//! | Type | What | Becomes |
//! |---|---|---|
//! | 1, 2, 3 | class A position | [`Reading::Cooperative`] |
//! | 18, 19 | class B position (19 with name and kind) | the same |
//! | 27 | long-range position, to a tenth of a minute | the same |
//! | 5, 24 | name, kind, IMO number, length | kept, and part of the vessel's next position |
//! | others | base stations, aids to navigation, aircraft, text | a sign of life of the receiver, at most once a minute |
//!
//! **Not available is not zero**: latitude 91, longitude 181, speed 1023, course 3600, heading 511 and second 60 and above are
//! left out. An IMO number whose check digit is wrong is left out too: it is typed in by hand. A position without a place
//! is a sign of life.
//!
//! **Time**: a report names the second of its minute. With the minute that a station's tag block (`\c:…\`) or, without one,
//! this machine's clock has, it becomes `observed_at`, at most 45 s back and 15 s ahead.
//!
//! **Bounds**: a sentence has at most 512 bytes with its tag block; messages of several sentences wait for the rest for
//! 2 s, 16 at once, and the oldest goes; what is known of 4096 vessels is kept, and the one heard longest ago goes. The same
//! report heard by two receivers within 5 s is one. What is not understood is counted, and every 10 s one of it is kept as
//! a dead letter. AIS has no proof of who speaks, and neither has UDP: anybody within reach can be any vessel.
//!
//! Why a decoder of our own: the crates for it reassemble one message at a time for the whole stream, so that two receivers
//! on one port spoil each other's messages, and bring a parser framework for what are a dozen numbers at fixed places.

mod bits;
mod message;
mod receiver;
mod sentence;
mod vessels;

pub use receiver::{Moment, Receiver};

use crate::{
    json::Undecodable,
    line::Line,
    lines::Piece,
    overload::Overload,
    streamed::{self, Carrier, DeadLetters, Hears, Outage, Streamed},
    tap::{self, Tapped},
};
use quaywatch_schemas::{Record, SensorId, WallTime};
use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

#[cfg(doc)]
use quaywatch_schemas::Reading;

/// A receiver, and whose its vessels are.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where sentences come from.
    pub carrier: Carrier,
    /// The sensor that hears all of its vessels.
    pub sensor: SensorId,
}

/// Hears vessels until the line is asked to stop.
pub async fn run(line: Line, config: Config) {
    let streamed =
        Streamed { carrier: config.carrier, longest: LONGEST_LINE, whole_datagrams: false, idle: Some(IDLE) };
    let mut desk = Desk {
        line: &line,
        receiver: Receiver::new(config.sensor.clone()),
        sensor: config.sensor,
        overload: Overload::default(),
        letters: DeadLetters::default(),
        outage: Outage::default(),
    };
    streamed::run(&line, &streamed, &mut desk).await;
}

/// A sentence has 82 characters and a tag block 80; receivers are known to send longer ones.
const LONGEST_LINE: usize = 512;
/// Base stations speak every 10 s, vessels at anchor every 3 minutes.
const IDLE: Duration = Duration::from_secs(600);

struct Desk<'a> {
    line: &'a Line,
    receiver: Receiver,
    sensor: SensorId,
    overload: Overload,
    letters: DeadLetters,
    outage: Outage,
}

impl Hears for Desk<'_> {
    fn hear(&mut self, piece: Piece, from: Option<SocketAddr>, now: Instant) {
        let sentence = match piece {
            Piece::Line(sentence) => sentence,
            Piece::TooLong(length) => {
                let why = format!("a line of {length} bytes is no sentence");
                return self.letters.refuse(self.line, &self.overload, Some(&self.sensor), &why, &[], now);
            }
        };
        let heard = self.receiver.hear(&sentence, from, Moment { now, wall: wall() });
        self.line.taps.show(&self.sensor, || match &heard {
            Ok(said) => {
                let records: Vec<Record> = said.iter().cloned().map(Record::Observation).collect();
                Tapped { raw: shown(&sentence), decoded: tap::decoded_all(&records) }
            }
            Err(Undecodable(why)) => Tapped::undecodable(sentence.len(), why),
        });
        match heard {
            Ok(Some(said)) => {
                self.outage.over();
                self.overload.offer(&self.line.intake, vec![Record::Observation(said)]);
            }
            Ok(None) => {}
            Err(Undecodable(why)) => {
                self.letters.refuse(self.line, &self.overload, Some(&self.sensor), &why, &sentence, now);
            }
        }
    }

    fn look(&mut self, reachable: bool, now: Instant) {
        for _ in 0..self.receiver.forget(now) {
            let why = "a part of a message of several sentences did not come";
            self.letters.refuse(self.line, &self.overload, Some(&self.sensor), why, &[], now);
        }
        if let Some(said) = self.outage.look(&self.sensor, reachable, now) {
            // The first word afterwards is said, whatever it is.
            self.receiver.silent();
            self.overload.offer(&self.line.intake, vec![said]);
        }
        self.overload.say(&self.line.intake);
    }
}

/// A sentence as a watcher sees it: who is inside the armour stays there.
fn shown(sentence: &[u8]) -> String {
    let start = sentence.iter().rposition(|byte| matches!(byte, b'!' | b'$')).unwrap_or(sentence.len());
    let kind =
        sentence[start..].iter().take(6).map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '*' });
    format!("{}, {} bytes", kind.collect::<String>(), sentence.len())
}

fn wall() -> WallTime {
    // Before 1970 no clock is set.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
