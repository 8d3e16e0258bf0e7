//! `quaywatch demo`: a simulated port behind real sockets, and the gateway of `quaywatch run` in front of it.

mod folder;
#[cfg(test)]
mod rehearsal;
mod show;

use super::{Done, Failure, Files};
use crate::{
    gateway::{self, Options},
    telemetry::{self, LogTo},
};
use clap::Args;
use folder::Folder;
use quaywatch_schemas::situation::Phase;
use quaywatch_simulator::{
    devices::central::Arrived,
    files::{self, Ports, Secrets},
    score::{Said, Scorer},
    stage::{Stage, Told},
    world::{GATE_DESK, PORT_POLICE, World},
};
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// `quaywatch demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Repeats a day: the same people, vehicles and weather, and the same truth
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Ends after so long, for example 60s; Ctrl-C ends it too
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Prints the products as CloudEvents, one a line; the table goes to standard error
    #[arg(long)]
    json: bool,
    /// Shows what one recipient gets only
    #[arg(long, value_name = "NAME", value_parser = [PORT_POLICE, GATE_DESK])]
    recipient: Option<String>,
    /// Prints the site file it runs on, and ends
    #[arg(long, exclusive = true)]
    print_site: bool,
    /// Prints the sharing file it runs on, and ends
    #[arg(long, exclusive = true)]
    print_sharing: bool,
}

/// How long the gateway may take to start, and to stop. It takes well under a second; a disk that hangs must not hang us.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often what is past is put into the table's sums.
const SETTLE_EVERY: Duration = Duration::from_secs(30);

impl Demo {
    pub(super) fn run(self) -> Done {
        if self.print_site || self.print_sharing {
            let file = if self.print_site { files::site(Ports::USUAL) } else { files::sharing(Ports::USUAL) };
            // A reader that closed the pipe has seen enough.
            let _ = io::stdout().write_all(file.as_bytes());
            return Ok(ExitCode::SUCCESS);
        }
        telemetry::init_logs(LogTo::Text, "error,rumqttd=off");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let done = runtime.block_on(self.play());
        // The broker has threads of its own, which nothing waits for.
        runtime.shutdown_background();
        done
    }

    async fn play(self) -> Done {
        let seed = match self.seed {
            Some(seed) => seed,
            None => u64::from(random()?),
        };
        let folder = Folder::new()?;
        // The world stops first, then the gateway: so nothing that it says at its end is blamed on a port that went away.
        let (world_stops, gateway_stops) = (CancellationToken::new(), CancellationToken::new());
        let _ends = (world_stops.clone().drop_guard(), gateway_stops.clone().drop_guard());
        let mut ends = Ends::of(self.time)?;
        let secrets = Secrets::draw().map_err(|why| Failure(why.to_string()))?;
        let stage = Stage::set(World::new(seed), secrets.clone(), world_stops.clone()).await?;
        let options = lay_out(&folder, stage.ports(), &secrets)?;
        eprintln!("A simulated port, seed {seed}. Ctrl-C ends it with a table of what happened and what was said.");
        let waiting = stage.release();
        let mut gateway = start(options, gateway_stops.clone()).await?;
        eprintln!("While it runs: quaywatch status --admin {}", folder.path("admin.sock").display());
        let (clock, mut told) = waiting.begin().await?;

        let mut scorer = Scorer::default();
        let mut settle_at = Instant::now() + SETTLE_EVERY;
        let mut listening = true;
        while listening {
            tokio::select! {
                () = ends.come() => break,
                ended = &mut gateway => return Err(why_ended(ended)),
                () = sleep_until(settle_at) => {
                    scorer.settle(clock.now());
                    settle_at += SETTLE_EVERY;
                }
                next = told.recv() => match next {
                    Some(Told::Truth(truth)) => scorer.expect(truth),
                    Some(Told::Arrived(arrived)) => {
                        scorer.hear(said(&arrived), arrived.event.data.phase == Phase::Retracted);
                        listening = self.print(&arrived).is_ok();
                    }
                    None => listening = false,
                },
            }
        }
        let report = scorer.report(clock.now());
        world_stops.cancel();
        gateway_stops.cancel();
        if listening {
            let table = show::table(&report);
            let _ = if self.json {
                io::stderr().write_all(table.as_bytes())
            } else {
                io::stdout().write_all(table.as_bytes())
            };
        }
        match timeout(PATIENCE, gateway).await {
            Ok(Ok(Ok(()))) => Ok(ExitCode::SUCCESS),
            Ok(ended) => Err(why_ended(ended)),
            Err(_) => Err(Failure(format!("the gateway did not stop within {PATIENCE:?}"))),
        }
    }

    /// Prints a product. An error means that nobody reads any more.
    fn print(&self, arrived: &Arrived) -> io::Result<()> {
        if self.recipient.as_ref().is_some_and(|recipient| recipient != arrived.recipient) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.json {
            out.write_all(&arrived.raw)?;
            out.write_all(b"\n")?;
        } else {
            let zone = jiff::tz::TimeZone::get(files::TIMEZONE).unwrap_or(jiff::tz::TimeZone::UTC);
            let now = jiff::Timestamp::now().to_zoned(zone).strftime("%H:%M:%S").to_string();
            let coloured = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
            writeln!(out, "{}", show::line(&now, arrived.recipient, &arrived.event.data, coloured))?;
        }
        out.flush()
    }
}

/// What ends a demonstration: its time, Ctrl-C, or being asked to by whoever started it.
struct Ends {
    at: Option<Instant>,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ends {
    fn of(time: Option<Duration>) -> io::Result<Self> {
        let at = time.map(|time| Instant::now() + time);
        Ok(Self { at, interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn come(&mut self) {
        let time = async {
            match self.at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Writes everything a gateway is started with.
fn lay_out(folder: &Folder, ports: Ports, secrets: &Secrets) -> io::Result<Options> {
    folder.write("site.toml", &files::site(ports))?;
    folder.write("sharing.toml", &files::sharing(ports))?;
    for (name, secret) in secrets.files() {
        folder.write(&format!("credentials/{name}"), &secret)?;
    }
    Ok(Options {
        files: Files {
            site: folder.path("site.toml"),
            sharing: folder.path("sharing.toml"),
            credentials: folder.path("credentials"),
        },
        state: folder.path("state"),
        admin: folder.path("admin.sock"),
    })
}

type Gateway = JoinHandle<Result<(), gateway::GatewayError>>;
type Ended = Result<Result<(), gateway::GatewayError>, tokio::task::JoinError>;

/// Starts the gateway as `quaywatch run` does, and waits until it is up.
async fn start(options: Options, stop: CancellationToken) -> Result<Gateway, Failure> {
    let (up, is_up) = oneshot::channel();
    let mut gateway = tokio::spawn(gateway::run(options, stop, move || {
        let _ = up.send(());
    }));
    tokio::select! {
        ended = &mut gateway => Err(why_ended(ended)),
        up = timeout(PATIENCE, is_up) => match up {
            Ok(Ok(())) => Ok(gateway),
            // The sender is gone: so is the gateway.
            Ok(Err(_)) => Err(why_ended(gateway.await)),
            Err(_) => Err(Failure(format!("the gateway was not up within {PATIENCE:?}"))),
        },
    }
}

fn why_ended(ended: Ended) -> Failure {
    Failure(match ended {
        Ok(Ok(())) => "the gateway stopped by itself".into(),
        Ok(Err(why)) => format!("the gateway stopped: {why}"),
        Err(why) => format!("the gateway stopped: {why}"),
    })
}

fn said(arrived: &Arrived) -> Said {
    let product = &arrived.event.data;
    Said {
        recipient: arrived.recipient.into(),
        reference: product.reference.clone(),
        kind: product.kind.clone(),
        zone: product.zone.id.clone(),
        at: arrived.at,
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text.parse().map_err(|_| "write a time such as 60s or 5m".to_string())?;
    Duration::try_from(duration).ok().filter(|time| !time.is_zero()).ok_or_else(|| "write a time above zero".into())
}

/// A seed that is short enough to be said.
fn random() -> Result<u16, Failure> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|why| Failure(why.to_string()))?;
    Ok(u16::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("75 s"), Ok(Duration::from_secs(75)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "60", "-5s", "0s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
