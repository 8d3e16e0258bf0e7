//! `/metrics` for Prometheus and `/health` for people and probes. Neither says anything about the port itself.

use crate::{
    health::{Board, Condition},
    telemetry,
};
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use quaywatch_drivers::line::Backoff;
use std::{fs, net::SocketAddr};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until stopped. A port that is taken is said and tried again: a gateway without metrics is still a gateway.
pub(super) async fn serve(listen: SocketAddr, board: Board, stop: CancellationToken) {
    let mut backoff = Backoff::default();
    loop {
        let why = match TcpListener::bind(listen).await {
            Ok(listener) => {
                board.say("operations", Condition::Well);
                let app = router(board.clone());
                let served = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned()).await;
                match served {
                    Ok(()) => return,
                    Err(why) => why,
                }
            }
            Err(why) => why,
        };
        tracing::warn!(%listen, %why, "metrics and health cannot be served");
        board.say("operations", Condition::Degraded(format!("cannot listen on {listen}: {why}")));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
}

fn router(board: Board) -> Router {
    let health = move || async move {
        let health = board.picture();
        let status = if health.status == "failed" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (status, axum::Json(health))
    };
    Router::new().route("/metrics", get(metrics)).route("/health", get(health))
}

async fn metrics() -> impl IntoResponse {
    let recorder = telemetry::metrics();
    recorder.run_upkeep();
    measure_process();
    ([("content-type", "text/plain; version=0.0.4")], recorder.render())
}

/// What the kernel says of this process. `bytes written per observation` is the first divided by
/// `quaywatch_log_observations_total`, both since the process started.
fn measure_process() {
    if let Some(bytes) = number_after("/proc/self/io", "write_bytes:") {
        metrics::counter!("quaywatch_process_write_bytes_total").absolute(bytes);
    }
    if let Some(kib) = number_after("/proc/self/status", "VmRSS:") {
        metrics::gauge!("quaywatch_process_resident_bytes").set(kib as f64 * 1024.0);
    }
}

fn number_after(file: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}
