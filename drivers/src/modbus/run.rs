//! The loop of one connection: asks, and passes on what came. Everything it decides is decided elsewhere.

use super::{
    Connection, Device,
    decode::{self, Counter, Image, Values, decode},
    link::{Answer, Failure, Link, NoConnection, ms},
    plan::Read,
    polled::{Polled, Refused, Unanswered},
    report::{Reporter, Seen},
    schedule::{CannotKeep, Next, Schedule},
};
use crate::{
    line::{Backoff, Line, LineState},
    tap::Tapped,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use quaywatch_schemas::{NoData, Reading, Record, WallTime};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep_until;

/// Reads all devices of a connection, each under its own line's name, until all are asked to stop.
pub async fn run(connection: Connection, devices: Vec<(Line, Device)>) {
    let mut stops: FuturesUnordered<_> = devices.iter().map(|(line, _)| line.stop.clone().cancelled_owned()).collect();
    let mut bus = Bus::new(connection, devices);
    loop {
        bus.take_out_stopped();
        let offer_again = bus.offer_again();
        match bus.schedule.next(Instant::now()) {
            // Dropping a question that is on its way drops the connection with it: the answer is still to come.
            Next::Ask(unit) => tokio::select! {
                () = bus.ask(unit) => {}
                Some(()) = stops.next() => {}
            },
            Next::Wait(until) => tokio::select! {
                () = sleep_until(offer_again.map_or(until, |again| until.min(again)).into()) => {}
                Some(()) = stops.next() => {}
            },
            Next::Nobody => {
                if stops.next().await.is_none() {
                    return;
                }
            }
        }
    }
}

/// A connection and who is on it.
struct Bus {
    connection: Connection,
    link: Option<Link>,
    backoff: Backoff,
    schedule: Schedule,
    units: Vec<Unit>,
}

/// A device, its line, and what each of its points has said.
struct Unit {
    line: Line,
    polled: Polled,
    reporters: Vec<Reporter>,
    counters: Vec<Counter>,
    /// Tells the observations of this run from those of all others.
    run: [u8; 16],
    requests: u64,
    /// What was last said of the line.
    up: bool,
    /// On a serial line: a question was not answered in time, so the next answer may be to that one.
    doubtful: bool,
    waiting: bool,
    out: bool,
    meters: Meters,
}

struct Meters {
    polls: metrics::Counter,
    late: metrics::Counter,
    not_taken: metrics::Counter,
    seconds: metrics::Histogram,
}

/// A refused batch is offered again this often; the writer empties its queue in the time of a few syncs.
const OFFER_AGAIN: Duration = Duration::from_millis(100);

/// What a question came to, and when it was asked.
struct Asked {
    answer: Result<Answer, Failure>,
    at: Instant,
}

impl Bus {
    fn new(connection: Connection, devices: Vec<(Line, Device)>) -> Self {
        let periods: Vec<Duration> = devices.iter().map(|(_, device)| device.every).collect();
        let mut schedule = Schedule::new(periods, Instant::now());
        let mut run = [0; 16];
        if let Err(error) = getrandom::fill(&mut run) {
            // Time tells runs apart as well, unless the clock was set back in between.
            tracing::warn!(%error, "no randomness from the operating system; using the time");
            run[..8].copy_from_slice(&wall_time().0.to_le_bytes());
        }
        let units: Vec<Unit> = devices.into_iter().map(|(line, device)| Unit::new(line, device, run)).collect();
        for (index, unit) in units.iter().enumerate() {
            if unit.polled.plan().reads.is_empty() {
                tracing::warn!(line = %unit.line.id, "nothing is read over this line");
                schedule.take_out(index);
            }
        }
        Self { connection, link: None, backoff: Backoff::default(), schedule, units }
    }

    fn take_out_stopped(&mut self) {
        for (index, unit) in self.units.iter_mut().enumerate().filter(|(_, unit)| !unit.out) {
            if unit.line.stop.is_cancelled() {
                unit.out = true;
                unit.hand_over();
                self.schedule.take_out(index);
            }
        }
    }

    /// Offers what was not taken, and says when to try again if it still is not.
    fn offer_again(&mut self) -> Option<Instant> {
        for unit in self.units.iter_mut().filter(|unit| unit.waiting) {
            unit.hand_over();
        }
        self.units.iter().any(|unit| unit.waiting).then(|| Instant::now() + OFFER_AGAIN)
    }

    /// Asks a unit one thing.
    async fn ask(&mut self, index: usize) {
        let started = Instant::now();
        let Some(slot) = self.units[index].polled.next(started) else {
            return self.finish(index, started);
        };
        let asked = match self.question(index, slot).await {
            Ok(asked) => asked,
            Err(why) => return self.disconnected(&why),
        };
        let now = Instant::now();
        let took = now.duration_since(started);
        let unit = &mut self.units[index];
        let unanswered = match asked.answer {
            Ok(answer) => {
                unit.answered(slot, &answer, asked.at, now);
                None
            }
            // The gateway to the unit answers for it: the line has waited all the same.
            Err(why @ Failure::Exception(code @ (10 | 11))) => {
                Some(unit.unanswered(slot, why, NoData::Exception(code), now, took))
            }
            Err(Failure::Exception(code)) => {
                unit.refused(slot, code, asked.at, now);
                None
            }
            Err(why @ Failure::Timeout(_)) => Some(unit.unanswered(slot, why, NoData::Timeout, now, took)),
            Err(why) => Some(unit.unanswered(slot, why, NoData::Disconnected, now, took)),
        };
        match unanswered {
            None => self.schedule.answered(index, now, took),
            // It waits by itself; what it took says nothing of how slow the device is.
            Some(Unanswered::Read) => {}
            Some(Unanswered::Device) => {
                unit.meters.polls.increment(1);
                return self.schedule.silent(index, now, took);
            }
        }
        if unit.polled.is_over(now) {
            self.finish(index, now);
        }
    }

    /// Asks until there is an answer that can be believed, or a reason to say that there is none.
    async fn question(&mut self, index: usize, slot: usize) -> Result<Asked, NoConnection> {
        // A broken connection may have been broken since the last poll, and noise is short: both get a second chance.
        let mut chances = if self.units[index].polled.is_silent() { 1 } else { 2 };
        loop {
            let mut link = match self.link.take() {
                Some(link) => link,
                None => Link::open(&self.connection).await?,
            };
            let unit = &mut self.units[index];
            unit.requests += 1;
            let at = Instant::now();
            let device = &unit.polled.device;
            let answer = link.read(device.unit, unit.polled.read(slot), device.timeout).await;
            match answer {
                Ok(_) | Err(Failure::Exception(_)) => {
                    self.link = Some(link);
                    self.backoff.worked();
                    // RTU answers do not say what they answer. If this one was to the question before, the answer to ours
                    // is as late again, and asking once more will not be answered in time.
                    if std::mem::take(&mut unit.doubtful) {
                        continue;
                    }
                    return Ok(Asked { answer, at });
                }
                Err(why) => {
                    count_error(&unit.line, why);
                    chances -= 1;
                    if matches!(why, Failure::Timeout(_)) {
                        unit.doubtful = matches!(self.connection, Connection::Rtu(_));
                        chances = 0;
                    }
                    if chances == 0 {
                        return Ok(Asked { answer, at });
                    }
                }
            }
        }
    }

    fn finish(&mut self, index: usize, now: Instant) {
        let unit = &mut self.units[index];
        unit.meters.polls.increment(1);
        let kept = self.schedule.finished(index, now);
        unit.meters.late.increment(kept.late.into());
        if let Some(cannot) = kept.cannot_keep {
            unit.say_cannot_keep(cannot);
        }
        if let Some(until) = unit.polled.rests_until(now) {
            self.schedule.postpone(index, until);
        }
    }

    fn disconnected(&mut self, why: &NoConnection) {
        let now = Instant::now();
        self.schedule.postpone_all(now + self.backoff.next_wait());
        for unit in self.units.iter_mut().filter(|unit| !unit.out) {
            unit.disconnected(why, now);
        }
    }
}

impl Unit {
    fn new(line: Line, device: Device, run: [u8; 16]) -> Self {
        let label = line.id.to_string();
        let meters = Meters {
            polls: metrics::counter!("quaywatch_modbus_polls_total", "line" => label.clone()),
            late: metrics::counter!("quaywatch_modbus_poll_late_total", "line" => label.clone()),
            not_taken: metrics::counter!("quaywatch_modbus_not_taken_total", "line" => label.clone()),
            seconds: metrics::histogram!("quaywatch_modbus_request_seconds", "line" => label),
        };
        let reporters = device.points.iter().map(|point| Reporter::new(point.reporting)).collect();
        let counters = vec![Counter::default(); device.points.len()];
        let polled = Polled::new(device);
        let mut unit = Self {
            line,
            polled,
            reporters,
            counters,
            run,
            requests: 0,
            up: false,
            doubtful: false,
            waiting: false,
            out: false,
            meters,
        };
        let now = Instant::now();
        for (point, why) in unit.polled.plan().impossible.clone() {
            tracing::warn!(line = %unit.line.id, sensor = %unit.polled.device.points[point].sensor, %why, "cannot be read");
            unit.say(&[point], NoData::BadValue, now);
        }
        unit
    }

    fn answered(&mut self, slot: usize, answer: &Answer, asked: Instant, now: Instant) {
        self.polled.answered(slot);
        let took = now.duration_since(asked);
        self.meters.seconds.record(took.as_secs_f64());
        let seen = self.seen(asked, now);
        let values = match answer {
            Answer::Bits(bits) => Values::Bits(bits),
            Answer::Registers(registers) => Values::Registers(registers),
        };
        let read = self.polled.read(slot);
        let image = Image { start: read.start, values };
        for &index in &read.points {
            let point = &self.polled.device.points[index];
            let reading = decode(point, image, &mut self.counters[index]);
            let show = || Tapped { raw: decode::raw(point, image), decoded: decode::words(&reading) };
            self.line.taps.show(&point.sensor, show);
            self.reporters[index].take(reading, &seen);
        }
        self.hand_over();
        if !self.up {
            self.up = true;
            self.line.report(LineState::Up);
        }
    }

    fn refused(&mut self, slot: usize, code: u8, asked: Instant, now: Instant) {
        self.meters.seconds.record(now.duration_since(asked).as_secs_f64());
        let read = self.polled.read(slot).clone();
        let Refused::Points { news, everything } = self.polled.refused(slot, code, now) else {
            tracing::debug!(line = %self.line.id, what = %extent(&read), code, "refused; reading it in parts");
            return;
        };
        count_error(&self.line, Failure::Exception(code));
        self.say(&read.points, NoData::Exception(code), now);
        let why = format!("unit {}, {}: {}", self.polled.device.unit, extent(&read), Failure::Exception(code));
        if everything {
            self.down(why);
        } else if news {
            let sensors: Vec<&str> =
                read.points.iter().map(|&point| self.polled.device.points[point].sensor.as_str()).collect();
            tracing::warn!(line = %self.line.id, sensors = sensors.join(", "), why, "cannot be read");
        }
    }

    fn unanswered(
        &mut self,
        slot: usize,
        failure: Failure,
        reason: NoData,
        now: Instant,
        took: Duration,
    ) -> Unanswered {
        if let Failure::Exception(_) = failure {
            count_error(&self.line, failure);
        }
        let read = self.polled.read(slot).clone();
        let who = self.polled.unanswered(slot, now, took);
        match who {
            Unanswered::Read => {
                tracing::debug!(line = %self.line.id, what = %extent(&read), "not answered");
                self.say(&read.points, reason, now);
            }
            Unanswered::Device => {
                let all: Vec<usize> = (0..self.polled.device.points.len()).collect();
                self.say(&all, reason, now);
                self.down(match failure {
                    Failure::Timeout(within) => {
                        format!("no answer from unit {} within {}", self.polled.device.unit, ms(within))
                    }
                    other => format!("unit {}: {other}", self.polled.device.unit),
                });
            }
        }
        who
    }

    fn disconnected(&mut self, why: &NoConnection, now: Instant) {
        self.polled.disconnected();
        let all: Vec<usize> = (0..self.polled.device.points.len()).collect();
        self.requests += 1;
        self.say(&all, NoData::Disconnected, now);
        count_error(&self.line, Failure::Closed);
        self.down(why.to_string());
    }

    /// Says why points have nothing to say.
    fn say(&mut self, points: &[usize], reason: NoData, now: Instant) {
        let seen = self.seen(now, now);
        for &index in points {
            let reading = Reading::NoData(reason);
            let shown = || Tapped { raw: "nothing".into(), decoded: decode::words(&reading) };
            self.line.taps.show(&self.polled.device.points[index].sensor, shown);
            self.reporters[index].take(reading, &seen);
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let points = &self.polled.device.points;
        let waiting = || self.reporters.iter().zip(points).filter(|(reporter, _)| reporter.is_waiting());
        let records: Vec<Record> = waiting()
            .flat_map(|(reporter, point)| reporter.observations(&point.sensor, &self.run))
            .map(Record::Observation)
            .collect();
        self.waiting = !records.is_empty();
        if records.is_empty() {
            return;
        }
        match self.line.intake.offer(records) {
            Ok(()) => {
                self.reporters.iter_mut().for_each(Reporter::taken);
                self.waiting = false;
            }
            Err(refused) => self.meters.not_taken.increment(refused.len() as u64),
        }
    }

    fn down(&mut self, why: String) {
        self.up = false;
        self.line.report(LineState::Down(why));
    }

    fn seen(&self, asked: Instant, now: Instant) -> Seen {
        let half = now.duration_since(asked) / 2;
        Seen { now, at: wall_time().before(half), give_or_take: half, request: self.requests }
    }

    fn say_cannot_keep(&self, CannotKeep { took, holds_others_up }: CannotKeep) {
        let Device { unit, every, .. } = self.polled.device;
        let (every, took) = (ms(every), ms(took));
        if holds_others_up {
            tracing::warn!(
                line = %self.line.id, unit, every, took,
                "answers so slowly that it is read less often, so that the others on its connection are not held up; give it \
                 a longer period or a connection of its own"
            );
        } else {
            tracing::warn!(
                line = %self.line.id, unit, every, took,
                "cannot be read as often as it should be; give it a longer period, larger reads or a connection of its own"
            );
        }
    }
}

fn extent(read: &Read) -> String {
    let (area, first, last) = (read.area, read.start, u32::from(read.start) + u32::from(read.count) - 1);
    if read.count == 1 { format!("{area} {first} (from 0)") } else { format!("{area} {first} to {last} (from 0)") }
}

fn count_error(line: &Line, failure: Failure) {
    let kind = match failure {
        Failure::Exception(_) => "exception",
        Failure::Timeout(_) => "timeout",
        Failure::Closed => "closed",
        Failure::Misdirected => "misdirected",
        Failure::Garbled => "garbled",
    };
    metrics::counter!("quaywatch_modbus_errors_total", "line" => line.id.to_string(), "kind" => kind).increment(1);
}

fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
