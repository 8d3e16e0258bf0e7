//! Enrolment: a person holds the button of a node whose console is plugged into this box.
//!
//! The key is made here, goes over that cable and nowhere else. A gateway that is killed before the node said that it took
//! it has not begun: the node is enrolled once more.

use super::{
    Nodes, Refused,
    acts::{Say, node_key, refusal},
    now,
    registry::{Enrolment as Enrolled, Entry, Key},
};
use quaywatch_drivers::{
    node_link::enrol::{Enrolment, Next},
    serial::{Parity, Port},
};
use quaywatch_schemas::{
    control::NodeAct,
    frame::{console::Nameplate, settings::Settings},
};
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep_until, timeout},
};

/// Where the node's console is, and what it is to work by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// The serial port of this box that the cable is in.
    pub port: PathBuf,
    /// Bits per second, 8N1.
    pub baud: u32,
    /// Settings as bytes; those of the node's firmware if `None`.
    pub settings: Option<Vec<u8>>,
}

/// How long a person has to find the button and hold it. At 1200 baud the longest settings take ten seconds.
const HELD_WITHIN: Duration = Duration::from_secs(120);

impl Nodes {
    /// Gives the node on a console a key of its own and this number. What had the number before does not count any more.
    pub async fn enrol(&self, node: u16, console: Console, by: String, say: &Say) -> Result<String, Refused> {
        let place = self.place(node)?;
        if place.key.is_some() {
            return Err(Refused::NotSo(format!(
                "the site file hands out the key of node {node}: take `key` out of [nodes.{node}] and reload, then enrol it"
            )));
        }
        if let Some(line) = self.line_on(&console.port) {
            return Err(Refused::NotSo(format!(
                "{} carries line {line}, and everybody on that hears the key: put the node's cable into a port that carries \
                 no line and name that with --port",
                console.port.display()
            )));
        }
        let settings = console.settings.as_deref().map(Settings::from_bytes).transpose();
        let settings = settings.map_err(|why| Refused::NotSo(format!("the settings: {why}")))?;
        let key = Key::random().map_err(|why| Refused::Cannot(format!("no randomness from the system: {why}")))?;
        let settings = settings.map(|settings| Arc::from(&settings.to_bytes()[..]));
        let enrolment = Enrolment::new(node, node_key(&key)?, settings, Instant::now());
        let enrolment = enrolment.map_err(|why| Refused::NotSo(why.to_string()))?;
        let nameplate = tokio::select! {
            told = timeout(HELD_WITHIN, tell(&console, enrolment, say)) => told.unwrap_or_else(|_| {
                Err(Refused::Cannot(format!(
                    "nobody held the button of a node on {} within {} s",
                    console.port.display(),
                    HELD_WITHIN.as_secs()
                )))
            })?,
            () = self.0.stop.cancelled() => return Err(Refused::Cannot("the gateway is stopping".into())),
        };
        self.enrolled(node, key, nameplate, by).await.map_err(|why| {
            Refused::Cannot(format!("{why}; the node has a key that the gateway could not keep: enrol it once more"))
        })
    }

    async fn enrolled(&self, node: u16, key: Key, nameplate: Nameplate, by: String) -> Result<String, Refused> {
        let _alone = self.0.acts.lock().await;
        let (chip, runs) = (hexadecimal(&nameplate.chip), nameplate.runs);
        let replaced = self.0.registry.entry(node).key.is_some();
        let act = NodeAct::Enrolled { chip: chip.clone(), board: runs.board, firmware: runs.version, replaced };
        self.record(&by, node, act).await?;
        let enrolled = Some(Enrolled { at: now(), by, chip, firmware: (runs.board, runs.version) });
        self.change(node, move |entry| {
            // Keys that the site might hand out again stay revoked.
            let revoked = entry.revoked.take();
            *entry = Entry { key: Some(key), enrolled, revoked, ..Entry::default() };
        })
        .await?;
        self.rekey().await?;
        let replaced = if replaced { "; the device that had this number before does not count any more" } else { "" };
        Ok(format!(
            "node {node} is enrolled: chip {}, board {}, firmware {}{replaced}",
            printable(&nameplate.chip),
            runs.board,
            runs.version
        ))
    }
}

/// Talks to the node until it has its key.
async fn tell(console: &Console, mut enrolment: Enrolment, say: &Say) -> Result<Nameplate, Refused> {
    let port =
        Port { path: console.port.clone(), baud: console.baud, data_bits: 8, parity: Parity::None, stop_bits: 1 };
    let path = console.port.display();
    let mut line = port.open().map_err(|why| Refused::NotSo(format!("{path} cannot be opened: {why}")))?;
    let broken = |why: std::io::Error| Refused::Cannot(format!("{path} does not work any more: {why}"));
    say.going(format!("waiting for a node on {path}: hold its button until it is enrolled"));
    let (mut bytes, mut found) = ([0; 256], false);
    loop {
        if enrolment.has_found() && !std::mem::replace(&mut found, true) {
            say.going("a node is there: go on holding its button");
        }
        match enrolment.next(Instant::now()) {
            Next::Send(wire) => line.write_all(&wire).await.map_err(broken)?,
            Next::Wait(until) => tokio::select! {
                read = line.read(&mut bytes) => {
                    let length = read.map_err(broken)?;
                    if length == 0 {
                        return Err(Refused::Cannot(format!("{path} was closed")));
                    }
                    enrolment.received(&bytes[..length], Instant::now());
                }
                () = sleep_until(until.into()) => {}
            },
            Next::Enrolled(nameplate) => return Ok(nameplate),
            Next::Refused(why) => return Err(Refused::NotSo(format!("the node refused: {}", refusal(why)))),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a chip calls itself, if that is text.
fn printable(chip: &[u8]) -> String {
    let text: String = chip.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    if text.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ') { text } else { hexadecimal(chip) }
}
