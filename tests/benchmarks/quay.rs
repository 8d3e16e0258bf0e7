//! The quay benchmark: `quay-benchmark DATA_DIR > tracks.jsonl`. Events per second and nanoseconds per detection inside the
//! engine go to standard error; only its own calls are timed.

use quaywatch_tests::benchmark::quay::{self, LAG};
use std::{
    error::Error,
    io::{BufWriter, Write},
    path::Path,
};

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::args_os().nth(1).ok_or("usage: quay-benchmark DATA_DIR > tracks.jsonl")?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let outcome = quay::run(Path::new(&data), &mut out)?;
    out.flush()?;
    let (counts, timing) = (outcome.counts, outcome.timing);
    eprintln!("tracks at t from what had arrived by t + {LAG} s");
    eprintln!(
        "{} observations with {} detections; {} came after one they precede, {} too late, {} repeated",
        outcome.observations, outcome.detections, counts.late, counts.too_late, counts.repeated
    );
    eprintln!(
        "inside the engine: {:.0} events/s, {:.0} ns per detection",
        timing.events as f64 / timing.inside.as_secs_f64(),
        timing.inside.as_nanos() as f64 / outcome.detections.max(1) as f64
    );
    Ok(())
}
