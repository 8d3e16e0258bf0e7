//! Text that streams to us in lines: over UDP, TCP or a serial port. Nothing is ever sent to its source.
//!
//! A line ends with CR, LF or both, and over UDP with its datagram, which may also be one line whatever is in it. What was under way when a serial port was opened is not
//! heard: half a line can look like a whole one. A TCP server that says nothing for long is connected to again, because a
//! connection whose other end lost its power looks like one that has nothing to say.

use crate::{
    line::{Backoff, Line, LineState},
    lines::{Lines, Piece},
    overload::Overload,
    serial::{self, Port},
};
use quaywatch_schemas::{DeadLetter, NoData, Observation, Reading, Record, SensorId};
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// What brings the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carrier {
    /// We listen here; whoever can reach it is heard.
    Udp(SocketAddr),
    /// We connect to a server.
    Tcp { host: String, port: u16 },
    /// A serial port.
    Serial(Port),
}

/// What brings the lines, and how they come.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) carrier: Carrier,
    /// The longest line in bytes.
    pub(crate) longest: usize,
    /// A datagram is one line, whatever is in it.
    pub(crate) whole_datagrams: bool,
    /// A TCP server that says nothing for this long is connected to again.
    pub(crate) idle: Option<Duration>,
}

/// Who hears the lines.
pub(crate) trait Hears {
    /// A line came; over UDP from there.
    fn hear(&mut self, piece: Piece, from: Option<SocketAddr>, now: Instant);

    /// Asked about twice a second, also while nothing can come (`reachable` is false): who is silent?
    fn look(&mut self, reachable: bool, now: Instant);
}

/// Hears the lines until `line` is asked to stop.
pub(crate) async fn run(line: &Line, streamed: &Streamed, hears: &mut impl Hears) {
    let mut backoff = Backoff::default();
    loop {
        let opened = Instant::now();
        let why = tokio::select! {
            () = line.stop.cancelled() => return,
            why = carry(line, streamed, hears) => why,
        };
        if opened.elapsed() > WORKED_AFTER {
            backoff.worked();
        }
        line.report(LineState::Down(why));
        tokio::select! {
            () = line.stop.cancelled() => return,
            () = wait(backoff.next_wait(), hears) => {}
        }
    }
}

/// Nothing for this long after a port was opened: what comes next is the beginning of a line. At 1200 baud a character
/// takes 8 ms.
const BETWEEN_LINES: Duration = Duration::from_millis(50);
/// What stays open this long works.
const WORKED_AFTER: Duration = Duration::from_secs(10);
/// How often silence is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A server on the same site accepts in milliseconds, one behind a radio link within this.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// No datagram is longer.
const LONGEST_DATAGRAM: usize = 65_536;

/// Hears until it fails; says why.
async fn carry(line: &Line, streamed: &Streamed, hears: &mut impl Hears) -> String {
    match &streamed.carrier {
        Carrier::Udp(listen) => match UdpSocket::bind(listen).await {
            Ok(socket) => {
                line.report(LineState::Up);
                datagrams(&socket, streamed, hears).await
            }
            Err(error) => not_bound(*listen, &error),
        },
        Carrier::Tcp { host, port } => {
            let connecting = timeout(CONNECT_WITHIN, TcpStream::connect((host.as_str(), *port)));
            let mut connecting = std::pin::pin!(connecting);
            let connected = loop {
                match timeout(LOOK_EVERY, &mut connecting).await {
                    Ok(connected) => break connected,
                    Err(_) => hears.look(false, Instant::now()),
                }
            };
            match connected {
                Ok(Ok(stream)) => {
                    line.report(LineState::Up);
                    let ended = lines(stream, streamed, false, hears).await;
                    match ended {
                        Ended::Closed => format!("{host}:{port} closed the connection"),
                        Ended::Idle(idle) => format!("{host}:{port} said nothing for {} s", idle.as_secs()),
                        Ended::Failed(error) => format!("{host}:{port}: {error}"),
                    }
                }
                Ok(Err(error)) => not_connected(host, *port, &error),
                Err(_) => format!("{host}:{port} does not answer within {} s", CONNECT_WITHIN.as_secs()),
            }
        }
        Carrier::Serial(port) => match port.open() {
            Ok(stream) => {
                line.report(LineState::Up);
                match lines(stream, streamed, true, hears).await {
                    Ended::Closed | Ended::Idle(_) => format!("{} is gone", port.path.display()),
                    Ended::Failed(error) => serial::explain(port, &error),
                }
            }
            Err(error) => serial::explain(port, &error),
        },
    }
}

/// Why a stream ended.
enum Ended {
    Closed,
    Idle(Duration),
    Failed(io::Error),
}

/// `midway`: something may be under way already.
async fn lines(mut stream: impl AsyncRead + Unpin, streamed: &Streamed, midway: bool, hears: &mut impl Hears) -> Ended {
    let mut lines = Lines::at_most(streamed.longest);
    let mut bytes = [0; 4096];
    let mut next = None;
    if midway && let Ok(read) = timeout(BETWEEN_LINES, stream.read(&mut bytes)).await {
        lines.skip_to_next();
        next = Some(read);
    }
    let mut heard = Instant::now();
    let mut looked = heard;
    loop {
        let read = match next.take() {
            Some(read) => Some(read),
            None => timeout(LOOK_EVERY, stream.read(&mut bytes)).await.ok(),
        };
        let now = Instant::now();
        match read {
            Some(Ok(0)) => return Ended::Closed,
            Some(Ok(length)) => {
                heard = now;
                lines.push(&bytes[..length]).into_iter().for_each(|piece| hears.hear(piece, None, now));
            }
            Some(Err(error)) => return Ended::Failed(error),
            None => {}
        }
        if let Some(idle) = streamed.idle.filter(|idle| now.saturating_duration_since(heard) >= *idle) {
            return Ended::Idle(idle);
        }
        if now.saturating_duration_since(looked) >= LOOK_EVERY {
            looked = now;
            hears.look(true, now);
        }
    }
}

/// Hears datagrams until the socket fails; says why.
async fn datagrams(socket: &UdpSocket, streamed: &Streamed, hears: &mut impl Hears) -> String {
    let mut bytes = vec![0; LONGEST_DATAGRAM];
    let mut looked = Instant::now();
    loop {
        let received = timeout(LOOK_EVERY, socket.recv_from(&mut bytes)).await;
        let now = Instant::now();
        match received {
            Ok(Ok((length, from))) if streamed.whole_datagrams => {
                hears.hear(Piece::Line(bytes[..length].to_vec()), Some(from), now);
            }
            Ok(Ok((length, from))) => {
                let mut lines = Lines::at_most(streamed.longest);
                let pieces = lines.push(&bytes[..length]).into_iter().chain(lines.end());
                pieces.for_each(|piece| hears.hear(piece, Some(from), now));
            }
            Ok(Err(error)) => return format!("cannot receive: {error}"),
            Err(_) => {}
        }
        if now.saturating_duration_since(looked) >= LOOK_EVERY {
            looked = now;
            hears.look(true, now);
        }
    }
}

async fn wait(wait: Duration, hears: &mut impl Hears) {
    let until = tokio::time::Instant::now() + wait;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep_until(until.min(tokio::time::Instant::now() + LOOK_EVERY)).await;
        hears.look(false, Instant::now());
    }
}

fn not_bound(listen: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("udp {listen} is in use by another program"),
        io::ErrorKind::PermissionDenied => {
            format!("udp {listen} needs a privilege we do not have; use a port from 1024")
        }
        io::ErrorKind::AddrNotAvailable => format!("no interface of this machine has the address {}", listen.ip()),
        _ => format!("cannot listen at udp {listen}: {error}"),
    }
}

fn not_connected(host: &str, port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{host}:{port} refuses the connection: nothing listens there"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("{host} cannot be reached: look at cables, addresses and routes")
        }
        _ if error.to_string().contains("lookup") => format!("there is no machine called {host}"),
        _ => format!("{host}:{port}: {error}"),
    }
}

/// What could not be understood. A source that speaks another language makes every line a dead letter: one in this time is
/// enough to see why; all are counted.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters {
    last: Option<Instant>,
}

const LETTER_EVERY: Duration = Duration::from_secs(10);

impl DeadLetters {
    pub(crate) fn refuse(
        &mut self,
        line: &Line,
        overload: &Overload,
        sensor: Option<&SensorId>,
        why: &str,
        raw: &[u8],
        now: Instant,
    ) {
        metrics::counter!("quaywatch_undecodable_total", "line" => line.id.to_string()).increment(1);
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LETTER_EVERY) {
            return;
        }
        self.last = Some(now);
        let letter = DeadLetter::new(line.id.clone(), sensor.cloned(), why, raw);
        overload.offer(&line.intake, vec![Record::DeadLetter(letter)]);
    }
}

/// Says of a sensor once that it cannot be heard, when that lasts; whatever it says next ends it.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
    told: bool,
}

/// A source that is restarted is back well before this.
const SAY_AFTER: Duration = Duration::from_secs(5);

impl Outage {
    /// What is to be said of `sensor` now, if anything.
    pub(crate) fn look(&mut self, sensor: &SensorId, reachable: bool, now: Instant) -> Option<Record> {
        if reachable {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if self.told || now.saturating_duration_since(since) < SAY_AFTER {
            return None;
        }
        self.told = true;
        Some(Record::Observation(Observation::live(sensor.clone(), Reading::NoData(NoData::Disconnected))))
    }

    /// The sensor spoke.
    pub(crate) fn over(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_once_when_it_lasts_and_again_only_after_the_sensor_spoke() {
        let (sensor, start) = (SensorId::new("radar").unwrap(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        let said: Vec<bool> =
            [0, 4, 5, 60].map(|second| outage.look(&sensor, false, at(second)).is_some()).into_iter().collect();
        assert_eq!(said, [false, false, true, false]);
        // Connected again, and gone again, without a word: nothing new.
        assert!(outage.look(&sensor, true, at(61)).is_none());
        assert!([62, 80].iter().all(|second| outage.look(&sensor, false, at(*second)).is_none()));
        outage.over();
        assert!(outage.look(&sensor, false, at(81)).is_none());
        assert!(outage.look(&sensor, false, at(87)).is_some());
    }
}
