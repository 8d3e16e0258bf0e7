//! The thin half: opens what carries the frames, moves bytes, and asks the ledger.

use super::{Carrier, Config, Master, NotTaken, Now, OrderId, Output, PortId, Report, Request, Standing, Ticket};
use crate::{
    intake::{Intake, NotStored},
    line::{Backoff, Line, LineState},
    serial::Port,
    tap::Tapped,
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use quaywatch_schemas::{Reading, Record, WallTime};
use std::{
    collections::BTreeMap,
    fmt::Write,
    future::pending,
    io,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    time::{sleep, sleep_until, timeout},
};

/// What others ask of a running bus.
#[derive(Debug)]
pub enum Wish {
    /// How its nodes are.
    Standings(oneshot::Sender<Vec<Standing>>),
    /// That a node does something. Answered with how far that is, from then on; the last report is the end. A node that
    /// turned to another key or has a double also says so in its [`Standing`].
    Order {
        /// Which node.
        node: u16,
        /// What.
        request: Request,
        /// Who wants to know.
        answer: oneshot::Sender<Result<watch::Receiver<Option<Report>>, NotTaken>>,
    },
}

/// Polls the bus until the line is asked to stop; then waits until the ledger has what it was given.
pub async fn run(line: Line, config: Config, wishes: mpsc::Receiver<Wish>) {
    let mut session = [0; 8];
    let master = match getrandom::fill(&mut session) {
        Ok(()) => Master::new(line.id.clone(), &config, u64::from_le_bytes(session), now())
            .map_err(|node| format!("the key of node {node} is not 64 hexadecimal digits")),
        // A session that may have been used before would let recordings in.
        Err(why) => Err(format!("the system gives no random numbers: {why}")),
    };
    let master = match master {
        Ok(master) => master,
        Err(why) => {
            line.report(LineState::Down(why));
            return line.stop.cancelled().await;
        }
    };
    let (events_in, events) = mpsc::channel(64);
    let (records_in, records) = mpsc::channel(BATCHES);
    let (answers_in, answers) = mpsc::channel(BATCHES);
    let storing = store(&line.intake, records, answers_in);
    let serving = async {
        let (writers, watched) = (BTreeMap::new(), BTreeMap::new());
        let bus = Bus { line: &line, master, writers, watched, records: records_in, open: false };
        tokio::select! {
            () = bus.serve(events, answers, wishes) => {}
            () = carry_all(&config.carrier, &events_in) => {}
        }
    };
    tokio::join!(storing, serving);
}

/// Batches that can be on their way to the ledger: more than the master lets data frames be, so that what is dropped at
/// the bound, and counted, is at most a repeated word on silent sensors.
const BATCHES: usize = 256;

/// What a carrier tells.
enum Event {
    /// A connection is there; bytes for it go here.
    Opened(PortId, mpsc::Sender<Vec<u8>>),
    Bytes(PortId, Vec<u8>),
    Closed(PortId, String),
    /// None could be made.
    Failed(String),
    /// We listen; nobody need be there yet.
    Listening,
}

struct Bus<'a> {
    line: &'a Line,
    master: Master,
    writers: BTreeMap<PortId, mpsc::Sender<Vec<u8>>>,
    /// Who wants to know of which order; as many as the master takes.
    watched: BTreeMap<OrderId, watch::Sender<Option<Report>>>,
    records: mpsc::Sender<(Option<Ticket>, Vec<Record>)>,
    open: bool,
}

impl Bus<'_> {
    async fn serve(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut answers: mpsc::Receiver<(Ticket, bool)>,
        mut wishes: mpsc::Receiver<Wish>,
    ) {
        loop {
            self.act();
            let wake = async {
                match self.master.wake_at() {
                    Some(at) => sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = self.line.stop.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => self.happened(event),
                    None => return,
                },
                Some((ticket, on_disk)) = answers.recv() => match on_disk {
                    true => self.master.stored(ticket),
                    false => self.master.refused(ticket, now()),
                },
                Some(wish) = wishes.recv() => self.grant(wish),
                () = wake => self.master.tick(now()),
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Opened(port, writer) => {
                self.writers.insert(port, writer);
                self.open = true;
                self.master.connected(port, now());
                self.line.report(LineState::Up);
            }
            Event::Listening => {
                self.open = true;
                self.line.report(LineState::Up);
            }
            Event::Bytes(port, bytes) => self.master.received(port, &bytes, now()),
            Event::Closed(port, why) => {
                self.writers.remove(&port);
                self.master.disconnected(port, now());
                if self.writers.is_empty() {
                    self.line.report(LineState::Down(why));
                }
            }
            Event::Failed(why) => {
                self.open = false;
                self.master.unreachable(now());
                self.line.report(LineState::Down(why));
            }
        }
    }

    fn grant(&mut self, wish: Wish) {
        match wish {
            // Who asked may have gone.
            Wish::Standings(answer) => drop(answer.send(self.master.standings())),
            Wish::Order { node, request, answer } => {
                let taken = self.master.order(node, request, now()).map(|order| {
                    let (tell, told) = watch::channel(None);
                    self.watched.insert(order, tell);
                    told
                });
                drop(answer.send(taken));
            }
        }
    }

    /// Does what the master wants.
    fn act(&mut self) {
        while let Some(output) = self.master.next_output() {
            match output {
                Output::Send(bytes) => {
                    // A connection that does not take a poll within a whole channel of them is stuck.
                    self.writers.retain(|_, writer| writer.try_send(bytes.clone()).is_ok());
                }
                Output::Close(port) => {
                    self.writers.remove(&port);
                }
                Output::Store { records, ticket, raw } => {
                    self.show(&records, &raw);
                    if let Err(refused) = self.records.try_send((ticket, records)) {
                        let (ticket, records) = refused.into_inner();
                        metrics::counter!("quaywatch_node_words_dropped_total", "line" => self.line.id.to_string())
                            .increment(records.len() as u64);
                        if let Some(ticket) = ticket {
                            self.master.refused(ticket, now());
                        }
                    }
                }
                Output::Count(outcome) => {
                    let labels = [("line", self.line.id.to_string()), ("outcome", outcome.name().to_string())];
                    metrics::counter!("quaywatch_node_frames_total", &labels).increment(1);
                }
                Output::Report { order, report, .. } => {
                    if let Some(watched) = self.watched.get(&order) {
                        watched.send_replace(Some(report));
                    }
                    if !matches!(report, Report::Progress { .. }) {
                        self.watched.remove(&order);
                    }
                }
                Output::Tell(notice) if notice.is_good() => tracing::info!(line = %self.line.id, "{notice}"),
                Output::Tell(notice) => tracing::warn!(line = %self.line.id, "{notice}"),
            }
        }
        if self.open && !self.writers.is_empty() {
            self.line.report(match self.master.nobody_answers() {
                true => LineState::Down("no node answers: check wiring, baud rate, node numbers and keys".into()),
                false => LineState::Up,
            });
        }
    }

    fn show(&self, records: &[Record], raw: &[u8]) {
        for record in records {
            let Record::Observation(observation) = record else { continue };
            self.line.taps.show(&observation.sensor, || Tapped {
                raw: raw.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                }),
                decoded: in_words(&observation.reading),
            });
        }
    }
}

/// Nodes say nothing that identifies anybody: nothing is masked.
fn in_words(reading: &Reading) -> String {
    match reading {
        Reading::Contact(on) => if *on { "on" } else { "off" }.into(),
        Reading::Measure(measure) => format!("{} {}", measure.value.get(), measure.unit.as_str()),
        Reading::Health(health) => format!("{health:?}"),
        Reading::NoData(why) => format!("no data: {why:?}"),
        other => format!("{other:?}"),
    }
}

/// Hands records to the ledger one batch after the other, so that their order is the bus's, and gives its answers back.
async fn store(
    intake: &Intake,
    mut records: mpsc::Receiver<(Option<Ticket>, Vec<Record>)>,
    answers: mpsc::Sender<(Ticket, bool)>,
) {
    let mut receipts = FuturesUnordered::new();
    let mut open = true;
    while open || !receipts.is_empty() {
        tokio::select! {
            batch = records.recv(), if open => match batch {
                Some((ticket, records)) => {
                    let receipt = intake.submit(records, None).await;
                    receipts.push(async move {
                        let stored = match receipt {
                            Ok(receipt) => receipt.await.is_ok(),
                            Err(NotStored) => false,
                        };
                        (ticket, stored)
                    });
                }
                None => open = false,
            },
            Some((ticket, stored)) = receipts.next() => {
                if let Some(ticket) = ticket {
                    // Nobody listens any more once the line stops.
                    let _ = answers.send((ticket, stored)).await;
                }
            }
        }
    }
}

async fn carry_all(carrier: &Carrier, events: &mpsc::Sender<Event>) {
    match carrier {
        Carrier::Serial(port) => dial(events, || open_serial(port)).await,
        Carrier::Connect { host, port } => dial(events, || connect(host, *port)).await,
        Carrier::Listen(address) => listen(*address, events).await,
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Opening<'a> = BoxFuture<'a, Result<Box<dyn Stream>, String>>;

fn open_serial(port: &Port) -> Opening<'_> {
    Box::pin(async move {
        match port.open() {
            Ok(stream) => Ok(Box::new(stream) as Box<dyn Stream>),
            Err(why) => Err(format!("{} cannot be opened: {why}", port.path.display())),
        }
    })
}

fn connect(host: &str, port: u16) -> Opening<'_> {
    Box::pin(async move {
        match timeout(CONNECT_WITHIN, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => {
                // Without it a poll waits up to 40 ms for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream) as Box<dyn Stream>)
            }
            Ok(Err(why)) => Err(format!("no connection to {host}:{port}: {why}")),
            Err(_) => Err(format!("no connection to {host}:{port}: it does not answer")),
        }
    })
}

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A connection that lasted this long was a good one: the next attempt comes soon.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Opens a carrier again and again.
async fn dial<'a>(events: &mpsc::Sender<Event>, open: impl Fn() -> Opening<'a>) {
    let mut backoff = Backoff::default();
    for port in (0..).map(PortId) {
        let event = match open().await {
            Ok(stream) => {
                let began = Instant::now();
                let why = carry(stream, port, events).await;
                if began.elapsed() >= GOOD_AFTER {
                    backoff.worked();
                }
                Event::Closed(port, why)
            }
            Err(why) => Event::Failed(why),
        };
        if events.send(event).await.is_err() {
            return;
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Lets nodes connect.
async fn listen(address: SocketAddr, events: &mpsc::Sender<Event>) {
    let mut backoff = Backoff::default();
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(why) => {
                let _ = events.send(Event::Failed(format!("cannot listen on {address}: {why}"))).await;
                sleep(backoff.next_wait()).await;
            }
        }
    };
    let _ = events.send(Event::Listening).await;
    let mut connections = FuturesUnordered::new();
    let mut next = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let port = PortId(next);
                    next += 1;
                    connections.push(async move { (port, carry(Box::new(stream), port, events).await) });
                }
                Err(why) => {
                    // Too many open files, most likely: nothing to do but to wait for some to close.
                    tracing::warn!(%why, "a node's connection could not be accepted");
                    sleep(backoff.next_wait()).await;
                }
            },
            Some((port, why)) = connections.next() => {
                if events.send(Event::Closed(port, why)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// How long writing one poll may take: at 1200 baud a frame of the largest size takes two seconds.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Moves bytes until the connection ends; says why it did.
async fn carry(mut stream: Box<dyn Stream>, port: PortId, events: &mpsc::Sender<Event>) -> String {
    let (writer, mut wanted) = mpsc::channel::<Vec<u8>>(16);
    if events.send(Event::Opened(port, writer)).await.is_err() {
        return String::new();
    }
    let mut buffer = [0; 1024];
    loop {
        tokio::select! {
            bytes = wanted.recv() => match bytes {
                None => return "the connection was given up".into(),
                Some(bytes) => match timeout(WRITE_WITHIN, write(&mut stream, &bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => return format!("the connection broke: {why}"),
                    Err(_) => return "the connection takes no bytes any more".into(),
                },
            },
            read = stream.read(&mut buffer) => match read {
                Ok(0) => return "the other end closed the connection".into(),
                Ok(length) => {
                    if events.send(Event::Bytes(port, buffer[..length].to_vec())).await.is_err() {
                        return String::new();
                    }
                }
                Err(why) => return format!("the connection broke: {why}"),
            },
        }
    }
}

async fn write(stream: &mut Box<dyn Stream>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

fn now() -> Now {
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => WallTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
        Err(_) => WallTime(0),
    };
    Now { at: Instant::now(), wall }
}

#[cfg(test)]
mod tests;
