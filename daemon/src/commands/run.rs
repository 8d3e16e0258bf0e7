//! `quaywatch run`: the gateway itself, under systemd or by hand.

use super::{AdminSocket, Done, Failure, Files, StateFolder};
use crate::{
    gateway::{self, Options},
    telemetry::{self, LogTo},
};
use clap::Args;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `quaywatch run`
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    state: StateFolder,
    #[command(flatten)]
    admin: AdminSocket,
    /// Where the log goes; QUAYWATCH_LOG sets what is logged (default: info)
    #[arg(long, value_enum, default_value = "text")]
    log: LogTo,
}

impl Run {
    pub(super) fn run(self) -> Done {
        telemetry::init_logs(self.log, "info,rumqttc=warn,rumqttd=warn,tokio_modbus=off");
        let options = Options { files: self.files, state: self.state.folder, admin: self.admin.socket };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let done = runtime.block_on(async {
            let stop = CancellationToken::new();
            let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let stopping = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = interrupt.recv() => {}
                }
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
                tracing::info!("stopping");
                stopping.cancel();
            });
            gateway::run(options, stop, || {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            })
            .await
            .map_err(|why| Failure(why.to_string()))
        });
        done.map(|()| ExitCode::SUCCESS)
    }
}
