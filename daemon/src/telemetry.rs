//! Logs whose level says who must act, and metrics that Prometheus can read.
//!
//! ERROR: someone now. WARN: someone today. INFO: what an operator wants in the journal. DEBUG and TRACE are for us.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{io::IsTerminal, sync::OnceLock};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Where logs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogTo {
    /// Text lines on standard error.
    Text,
    /// JSON lines on standard error.
    Json,
    /// The systemd journal, with fields.
    Journald,
}

/// Starts logging. `QUAYWATCH_LOG` overrides `default` (for example `quaywatch=debug`). A second call does nothing, so
/// that tests may start several gateways in one process.
pub fn init_logs(to: LogTo, default: &str) {
    let filter = || EnvFilter::try_from_env("QUAYWATCH_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let coloured = std::io::stderr().is_terminal();
    let text = || tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(coloured).with_target(false);
    let layer = match to {
        LogTo::Text => text().with_filter(filter()).boxed(),
        LogTo::Json => {
            tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).with_filter(filter()).boxed()
        }
        LogTo::Journald => match tracing_journald::layer() {
            Ok(layer) => layer.with_filter(filter()).boxed(),
            Err(_) => text().with_filter(filter()).boxed(),
        },
    };
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// The process's metrics recorder, installed at the first call.
pub fn metrics() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Only fails when another recorder was installed before, and nothing else installs one.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}
