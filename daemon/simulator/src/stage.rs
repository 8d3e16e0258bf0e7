//! Puts the devices up, and plays the world on them at its own speed.

use crate::{
    devices::{
        Clock, DeviceError, FreePort,
        bookings::Bookings,
        broker,
        cameras::{Cameras, Webhooks},
        central::{self, Arrived, Desk},
        nodes::Nodes,
        plc::Plc,
    },
    files::{POLICE_TOPIC, Ports, Secrets},
    world::{Booking, GATE_DESK, Happening, Round, Squall, Truth, World},
};
use std::{collections::VecDeque, net::SocketAddr, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Something the audience should know.
#[derive(Debug)]
pub enum Told {
    /// This happens, or will within the next moments.
    Truth(Truth),
    /// A recipient's central system got a product.
    Arrived(Box<Arrived>),
}

/// Devices that are up and a gateway that is not there yet.
pub struct Stage {
    world: World,
    secrets: Secrets,
    ports: Ports,
    broker: SocketAddr,
    plc: Plc,
    desk: Desk,
    /// Held for the gateway.
    held: [FreePort; 3],
    stop: CancellationToken,
}

/// Devices that are up and a gateway that is about to be.
pub struct Waiting {
    world: World,
    secrets: Secrets,
    broker: SocketAddr,
    plc: Plc,
    desk: Desk,
    hooks: SocketAddr,
    nodes: SocketAddr,
    stop: CancellationToken,
}

/// How often the stage looks what happens: a tenth of the shortest thing a loop says.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often the berth's instruments show something new.
const BERTH_EVERY: Duration = Duration::from_millis(250);
/// A round's bookings are known this long before it begins.
const AHEAD: Duration = Duration::from_secs(10);
/// Things told that wait for the audience; when it is full the stage waits, and the world does not.
const TOLD: usize = 1024;

impl Stage {
    /// Puts up everything a gateway finds when it is installed: the broker, the PLC, the central systems.
    pub async fn set(world: World, secrets: Secrets, stop: CancellationToken) -> Result<Self, DeviceError> {
        let broker = broker::start().await?;
        let (plc, plc_address) = Plc::start(stop.clone()).await?;
        let (desk, desk_address) = Desk::bind(secrets.desk_bearer.clone()).await?;
        let free = || FreePort::find().map_err(|why| DeviceError::new("the gateway's listener", why));
        let held = [free()?, free()?, free()?];
        let ports = Ports {
            broker: broker.port(),
            plc: plc_address.port(),
            desk: desk_address.port(),
            hooks: held[0].number(),
            nodes: held[1].number(),
            answers: held[2].number(),
        };
        Ok(Self { world, secrets, ports, broker, plc, desk, held, stop })
    }

    /// Where everything is, for the gateway's files.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Lets go of the ports that the gateway is to listen on. Start it now.
    pub fn release(self) -> Waiting {
        let [hooks, nodes, answers] = self.held;
        let mut desk = self.desk;
        desk.answers =
            Some((format!("http://{}/answers/{GATE_DESK}", answers.release()), self.secrets.desk_answers.clone()));
        Waiting {
            world: self.world,
            secrets: self.secrets,
            broker: self.broker,
            plc: self.plc,
            desk,
            hooks: hooks.release(),
            nodes: nodes.release(),
            stop: self.stop,
        }
    }
}

impl Waiting {
    /// The gateway is up: people, vehicles and weather begin to move. Goes on until stopped.
    pub async fn begin(self) -> Result<(Clock, mpsc::Receiver<Told>), DeviceError> {
        let (told, audience) = mpsc::channel(TOLD);
        let mut playback = Playback::new(self.world);
        let bookings = Bookings::new(self.hooks, self.secrets.bookings_token.clone())?;
        let first = playback.load_until(AHEAD);
        bookings.state(&first.bookings).await;
        let clock = Clock::start();
        let webhooks = Webhooks { listen: self.hooks, tokens: self.secrets.rear_tokens.clone() };
        let cameras = Cameras::start(self.broker, webhooks, clock, self.stop.clone()).await?;
        let nodes = Nodes::start(self.world, self.nodes, &self.secrets.node_keys, &self.stop)?;
        let mut arrivals = central::start(self.broker, POLICE_TOPIC, self.desk, clock, self.stop.clone()).await?;
        let to_audience = told.clone();
        tokio::spawn(async move {
            while let Some(arrived) = arrivals.recv().await {
                if to_audience.send(Told::Arrived(Box::new(arrived))).await.is_err() {
                    return;
                }
            }
        });
        for truth in first.truths {
            // The channel holds more than a round has truths.
            let _ = told.send(Told::Truth(truth)).await;
        }
        let show = Show { world: self.world, plc: self.plc, cameras, nodes, bookings, told, clock, stop: self.stop };
        tokio::spawn(show.run(playback, first.bookings));
        Ok((clock, audience))
    }
}

struct Show {
    world: World,
    plc: Plc,
    cameras: Cameras,
    nodes: Nodes,
    bookings: Bookings,
    told: mpsc::Sender<Told>,
    clock: Clock,
    stop: CancellationToken,
}

impl Show {
    /// Plays; `booked` is what the terminal's system has stated already.
    async fn run(self, mut playback: Playback, mut booked: Vec<Booking>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut berth_at = Duration::ZERO;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = self.stop.cancelled() => return,
            }
            let now = self.clock.now();
            let loaded = playback.load_until(now + AHEAD);
            for truth in loaded.truths {
                if self.told.send(Told::Truth(truth)).await.is_err() {
                    return;
                }
            }
            if !loaded.bookings.is_empty() {
                // The list replaces the one before, and the last round's vehicles are still on their way.
                let list = [std::mem::replace(&mut booked, loaded.bookings.clone()), loaded.bookings].concat();
                let bookings = self.bookings.clone();
                tokio::spawn(async move { bookings.state(&list).await });
            }
            for happening in playback.due(now) {
                self.plc.show(&happening);
                self.nodes.show(&happening);
                self.cameras.show(&happening, now).await;
            }
            if now >= berth_at {
                let squalls = playback.squalls(now);
                self.plc.show_berth(self.world.loads(now, squalls), self.world.wind(now, squalls));
                berth_at = now + BERTH_EVERY;
            }
        }
    }
}

/// The world's rounds, one after the other.
struct Playback {
    world: World,
    next: u64,
    /// How far rounds are loaded.
    loaded: Duration,
    queue: VecDeque<(Duration, Happening)>,
    squalls: Vec<Squall>,
}

/// What is known of rounds before they are played.
#[derive(Default)]
struct Loaded {
    truths: Vec<Truth>,
    bookings: Vec<Booking>,
}

impl Playback {
    fn new(world: World) -> Self {
        Self { world, next: 0, loaded: Duration::ZERO, queue: VecDeque::new(), squalls: Vec::new() }
    }

    fn load_until(&mut self, until: Duration) -> Loaded {
        let mut loaded = Loaded::default();
        while self.loaded < until {
            let Round { happenings, truths, bookings, squalls } = self.world.round(self.next);
            // A round's last happening comes before the next round begins.
            self.queue.extend(happenings);
            self.squalls.extend(squalls);
            loaded.truths.extend(truths);
            loaded.bookings.extend(bookings);
            self.next += 1;
            self.loaded += crate::world::ROUND;
        }
        loaded
    }

    fn due(&mut self, now: Duration) -> Vec<Happening> {
        let count = self.queue.iter().take_while(|(at, _)| *at <= now).count();
        self.queue.drain(..count).map(|(_, happening)| happening).collect()
    }

    fn squalls(&mut self, now: Duration) -> &[Squall] {
        self.squalls.retain(|squall| squall.ends() > now);
        &self.squalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::ROUND;

    #[test]
    fn everything_is_played_once_and_in_order_however_the_looks_fall() {
        let world = World::new(11);
        let mut playback = Playback::new(world);
        let (mut played, mut truths, mut now) = (Vec::new(), 0, Duration::ZERO);
        while now < ROUND * 3 {
            // Uneven looks, one of them long as on a busy machine.
            now += Duration::from_millis(if played.len() % 50 == 49 { 1700 } else { 7 + played.len() as u64 % 30 });
            truths += playback.load_until(now + AHEAD).truths.len();
            played.extend(playback.due(now));
        }
        let rounds: Vec<Round> = (0..4).map(|number| world.round(number)).collect();
        let all = rounds.iter().flat_map(|round| &round.happenings).filter(|(at, _)| *at <= now);
        let expected: Vec<Happening> = all.map(|(_, happening)| happening.clone()).collect();
        assert!(played.len() > 300 && played == expected);
        assert_eq!(truths, rounds.iter().map(|round| round.truths.len()).sum::<usize>());
        assert!(playback.squalls(now).len() <= 2, "squalls that are over are forgotten");
    }
}
