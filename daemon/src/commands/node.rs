//! `quaywatch node`: the sensor nodes of a live gateway, and what people do to them.

mod sign;

use super::{AdminSocket, Done, Failure, small_runtime};
use crate::{
    admin::client,
    nodes::{
        Console, Listed, Word,
        page::{List, Page},
    },
};
use clap::{Args, Subcommand};
use hyper::Method;
use quaywatch_schemas::frame::settings::{Draft, Settings};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `quaywatch node`
#[derive(Debug, Args)]
pub struct Node {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    admin: AdminSocket,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// How every node is: heard when, what waits on it, its supply, why it started last
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Everything that is known of one node
    Show {
        /// Its number on the bus
        node: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give the node on a serial port of this box a key of its own and a number; somebody holds its button meanwhile
    Enrol {
        /// The number it is to have: one that the site file names
        node: u16,
        /// The serial port that its console is plugged into; not one that carries a line
        #[arg(long)]
        port: PathBuf,
        /// Bits per second, 8N1
        #[arg(long, default_value_t = 115_200)]
        baud: u32,
        /// Settings to work by, as for `configure`; its firmware's own without it
        #[arg(long)]
        settings: Option<PathBuf>,
    },
    /// Give a node a new key over its line; the old one holds until the new one was used
    Rotate {
        /// Its number on the bus
        node: u16,
    },
    /// Let a node sense by other settings; it takes them back if it cannot be reached under them
    Configure {
        /// Its number on the bus
        node: u16,
        /// TOML: heartbeat_ms, and one [[inputs]] per channel
        settings: PathBuf,
        /// Only say whether the settings can be
        #[arg(long)]
        check: bool,
    },
    /// Give a node a signed firmware image; it goes back to the old one if the new one does not hear its gateway
    Update {
        /// Its number on the bus
        node: u16,
        /// The signed image
        image: PathBuf,
    },
    /// Sign a firmware image for `update`; needs no gateway, and belongs on another machine
    Sign(sign::Sign),
    /// Print the public half of a signing key, which firmware is built with; makes the key if there is none
    SigningKey(sign::SigningKey),
    /// Let a node's lamp blink, so that somebody finds it
    Identify {
        /// Its number on the bus
        node: u16,
        /// For how many seconds; 0 ends it
        #[arg(long = "for", default_value_t = 60)]
        seconds: u16,
    },
    /// Destroy a node's key for ever: what comes in its name from then on is refused and an alarm
    Revoke {
        /// Its number on the bus
        node: u16,
    },
    /// Let a node in quarantine count again, after somebody has looked at it
    Clear {
        /// Its number on the bus
        node: u16,
    },
}

impl Node {
    pub(super) fn run(self) -> Done {
        match &self.act {
            Act::List { json } => {
                let text = self.ask(Method::GET, "/nodes", Vec::new())?;
                let nodes: Vec<Listed> = serde_json::from_str(&text)?;
                print!("{}", if *json { text } else { List(&nodes).to_string() });
            }
            Act::Show { node, json } => {
                let text = self.ask(Method::GET, "/nodes", Vec::new())?;
                let nodes: Vec<Listed> = serde_json::from_str(&text)?;
                let found = nodes.iter().find(|listed| listed.node == *node);
                let found = found.ok_or_else(|| Failure(format!("the site file names no node {node}")))?;
                print!("{}", if *json { serde_json::to_string(found)? } else { Page(found).to_string() });
            }
            Act::Enrol { node, port, baud, settings } => {
                let settings = settings.as_deref().map(read_settings).transpose()?;
                let settings = settings.map(|settings| settings.to_bytes().to_vec());
                // What the gateway does not find would only be said by it.
                let port = port.canonicalize().map_err(|why| Failure(format!("{}: {why}", port.display())))?;
                let console = Console { port, baud: *baud, settings };
                self.order(*node, "enrol", serde_json::to_vec(&console)?)?;
            }
            Act::Rotate { node } => self.order(*node, "rotate", Vec::new())?,
            Act::Configure { settings, check: true, .. } => {
                let settings = read_settings(settings)?;
                println!(
                    "{} channels, {} bytes: a node can have these",
                    settings.inputs().len(),
                    settings.to_bytes().len()
                );
            }
            Act::Configure { node, settings, check: false } => {
                self.order(*node, "configure", read_settings(settings)?.to_bytes().to_vec())?;
            }
            Act::Update { node, image } => self.order(*node, "update", read(image)?)?,
            Act::Sign(sign) => sign.run()?,
            Act::SigningKey(key) => key.run()?,
            Act::Identify { node, seconds } => {
                self.order(*node, &format!("identify?seconds={seconds}"), Vec::new())?;
            }
            Act::Revoke { node } => print!("{}", self.ask(Method::POST, &format!("/nodes/{node}/revoke"), Vec::new())?),
            Act::Clear { node } => print!("{}", self.ask(Method::POST, &format!("/nodes/{node}/clear"), Vec::new())?),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Gives an order and says what comes of it, line by line.
    fn order(&self, node: u16, act: &str, body: Vec<u8>) -> Result<(), Failure> {
        small_runtime()?.block_on(async {
            let path = format!("/nodes/{node}/{act}");
            let mut answer = client::send(&self.admin.socket, Method::POST, &path, body).await?;
            let mut said = Vec::new();
            while let Some(piece) = answer.next().await? {
                said.extend_from_slice(&piece);
                while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = said.drain(..=end).collect();
                    match serde_json::from_slice(&line)? {
                        Word::Going(how) => println!("{how}"),
                        Word::Done(how) => {
                            println!("{how}");
                            return Ok(());
                        }
                        Word::Failed(why) => return Err(Failure(why)),
                    }
                }
            }
            let rest = String::from_utf8_lossy(&said).trim().to_owned();
            let why = if rest.is_empty() { "the gateway stopped before that came to an end" } else { &rest };
            Err(Failure(why.into()))
        })
    }

    fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<String, Failure> {
        Ok(small_runtime()?
            .block_on(async { client::send(&self.admin.socket, method, path, body).await?.text().await })?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|why| Failure(format!("{}: {why}", path.display())))
}

/// Settings as a person writes them, checked as the node checks them.
fn read_settings(path: &Path) -> Result<Settings, Failure> {
    let file = path.display();
    let text = fs::read_to_string(path).map_err(|why| Failure(format!("{file}: {why}")))?;
    let draft: Draft = toml::from_str(&text).map_err(|why| Failure(format!("{file}: {why}")))?;
    draft.check().map_err(|why| Failure(format!("{file}: {why}")))
}
