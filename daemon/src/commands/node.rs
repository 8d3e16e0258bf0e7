//! `quaywatch node`: the sensor nodes of a live gateway, and what people do to them.

use super::{AdminSocket, Done, Failure, small_runtime};
use crate::{
    admin::client,
    nodes::{
        Listed,
        page::{List, Page},
    },
};
use clap::{Args, Subcommand};
use hyper::Method;
use std::process::ExitCode;

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
            Act::Revoke { node } => print!("{}", self.ask(Method::POST, &format!("/nodes/{node}/revoke"), Vec::new())?),
            Act::Clear { node } => print!("{}", self.ask(Method::POST, &format!("/nodes/{node}/clear"), Vec::new())?),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<String, Failure> {
        Ok(small_runtime()?
            .block_on(async { client::send(&self.admin.socket, method, path, body).await?.text().await })?)
    }
}
