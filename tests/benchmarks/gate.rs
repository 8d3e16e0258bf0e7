//! The gate benchmark: `gate-benchmark DATA_DIR > results.jsonl`. What the engine cost is printed on standard error; only its
//! own calls are timed.

use quaywatch_tests::benchmark::gate;
use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::args_os().nth(1).ok_or("usage: gate-benchmark DATA_DIR > results.jsonl")?;
    let timing = gate::run(Path::new(&data), &mut std::io::stdout().lock())?;
    let seconds = timing.inside.as_secs_f64();
    eprintln!(
        "{} events in {seconds:.3} s inside the engine: {:.0} events/s, {:.0} ns per event",
        timing.events,
        timing.events as f64 / seconds,
        timing.nanoseconds()
    );
    Ok(())
}
