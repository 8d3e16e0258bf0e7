//! Writes a data set as the engine's log, one record after another as they are stored: `write-log DATA_DIR > LOG`.

use quaywatch_tests::benchmark::{gate, quay};
use std::{
    error::Error,
    io::{BufWriter, Write},
    path::Path,
};

fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::args_os().nth(1).ok_or("usage: write-log DATA_DIR > LOG")?;
    let data = Path::new(&data);
    let is_gate = data.join("ref.json").exists();
    let records = if is_gate { gate::Recorded::read(data)?.records } else { quay::Recorded::read(data)?.records };
    let mut out = BufWriter::new(std::io::stdout().lock());
    for record in &records {
        out.write_all(&postcard::to_stdvec(record)?)?;
    }
    Ok(out.flush()?)
}
