//! References by file drop: a system of record puts a JSON file into a folder, the gateway takes it.
//!
//! Write the file under a name that starts with a dot or ends in `.part`, then rename it to `….json`: the gateway then never
//! sees half a file. A file that was taken is **deleted**, because it names vehicles and people and the log now holds it
//! sealed. One that is refused is renamed to `….refused` and stays where it is, with the reason in the gateway's log: it is
//! the other system's to correct.

use crate::health::{Board, Condition};
use quaywatch_drivers::{intake::Intake, references};
use quaywatch_schemas::{FeedId, Record};
use std::{io, path::Path, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the folder is looked into. References are hours old when they arrive; nothing waits for this.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A day's bookings of a large terminal are about 5 MB.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// Takes files of one feed until stopped.
pub async fn watch_folder(feed: FeedId, folder: PathBuf, intake: Intake, board: Board, stop: CancellationToken) {
    let part = format!("references {feed}");
    loop {
        match take_all(&feed, &folder, &intake).await {
            Ok(()) => board.say(&part, Condition::Well),
            Err(why) => {
                tracing::warn!(%feed, folder = %folder.display(), %why, "references cannot be taken");
                board.say(&part, Condition::Degraded(why.to_string()));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn take_all(feed: &FeedId, folder: &Path, intake: &Intake) -> io::Result<()> {
    let mut files = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    // Name order, so that a system that numbers its files is taken in its order.
    files.sort();
    for path in files {
        take(feed, &path, intake).await?;
    }
    Ok(())
}

async fn take(feed: &FeedId, path: &Path, intake: &Intake) -> io::Result<()> {
    let refused = match tokio::fs::metadata(path).await?.len() {
        size if size > MOST_BYTES => Err(format!("{size} bytes are more than {MOST_BYTES}")),
        _ => references::decode(feed, &tokio::fs::read(path).await?).map_err(|why| why.to_string()),
    };
    match refused {
        Ok(control) => {
            intake.store(vec![Record::Control(control)]).await.map_err(io::Error::other)?;
            tokio::fs::remove_file(path).await?;
            tracing::info!(%feed, file = %path.display(), "references taken");
        }
        Err(why) => {
            tracing::warn!(%feed, file = %path.display(), why, "references refused");
            tokio::fs::rename(path, path.with_extension("json.refused")).await?;
        }
    }
    Ok(())
}
