//! One connection: the only code that talks to tokio-modbus, and what it can say is four reads.
//!
//! What tokio-modbus 0.17 leaves to us: it has no time-outs and no reconnecting; after a time-out the late answer is still in
//! the socket or on the bus, so a [`Link`] that failed is dropped and never used again; its typed reads panic on an answer of
//! the wrong length in debug builds and pass it on in release builds, so lengths are checked here; the texts of its errors
//! contain values, so they go no further than this file.

use super::{Area, BitArea, Connection, RegisterArea, plan::Read};
use crate::serial;
use std::{
    fmt, io,
    time::{Duration, Instant},
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{sleep_until, timeout},
};
use tokio_modbus::{
    Error, ProtocolError, Request, Response, Slave,
    client::{Client, Context, rtu, tcp},
    slave::SlaveContext,
};
use tokio_serial::{ClearBuffer, Parity, SerialPort, SerialStream};

/// A connection that works as far as is known. After a [`Failure`] other than an exception it must be dropped.
pub struct Link {
    context: Context,
    /// For RTU: what a byte takes, and when the line was last busy.
    bus: Option<(Duration, Instant)>,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Coils or discrete inputs, as many as were asked for.
    Bits(Vec<bool>),
    /// Registers, as many as were asked for.
    Registers(Vec<u16>),
}

/// Why nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The device answered with this exception code; the connection is fine.
    Exception(u8),
    /// No answer in time.
    Timeout(Duration),
    /// The connection broke.
    Closed,
    /// The answer was to another question or from another unit.
    Misdirected,
    /// The answer was not Modbus, or had more or fewer values than were asked for.
    Garbled,
}

/// No connection, and why in words a site engineer understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoConnection(pub String);

/// A PLC on the same site accepts in milliseconds; one that needs longer is not going to keep any period.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long a serial line has to be quiet before the first question: the turnaround delay of the serial line specification
/// (1.02, 2.4.1) is 100 to 200 ms.
const QUIET: Duration = Duration::from_millis(100);
const QUIET_WITHIN: Duration = Duration::from_secs(1);

impl Link {
    /// Connects. A serial line is drained first: an answer that comes too late must not be taken for the next one.
    pub async fn open(connection: &Connection) -> Result<Self, NoConnection> {
        match connection {
            Connection::Tcp { host, port } => {
                let stream = match timeout(CONNECT_WITHIN, TcpStream::connect((host.as_str(), *port))).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return Err(NoConnection(not_connected(host, *port, &error))),
                    Err(_) => {
                        return Err(NoConnection(format!(
                            "{host}:{port} does not answer within {}",
                            ms(CONNECT_WITHIN)
                        )));
                    }
                };
                // With Nagle's algorithm a request can wait 40 ms for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                Ok(Self { context: tcp::attach_slave(stream, Slave::tcp_device()), bus: None })
            }
            Connection::Rtu(port) => {
                let open = || port.open();
                let stream = open().map_err(|error| NoConnection(not_opened(port, &error)))?;
                let stream = drained(stream, port).await?;
                let context = rtu::attach_slave(stream, Slave(0));
                Ok(Self { context, bus: Some((byte_time(port), Instant::now())) })
            }
        }
    }

    /// Asks `unit`.
    pub async fn read(&mut self, unit: u8, read: &Read, within: Duration) -> Result<Answer, Failure> {
        let mut allowed = within;
        if let Some((byte, last)) = &self.bus {
            // Frames are told apart by a silence of 3.5 characters; a device that has just answered needs to hear it.
            let silence = (*byte * 7 / 2).max(Duration::from_micros(1750));
            sleep_until((*last + silence).into()).await;
            // The device's own time is `within`; question and answer also have to cross the wire.
            allowed += *byte * (QUESTION_BYTES + answer_bytes(read));
        }
        self.context.set_slave(Slave(unit));
        let answer = timeout(allowed, self.context.call(request(read))).await;
        if let Some((_, last)) = &mut self.bus {
            *last = Instant::now();
        }
        match answer {
            Err(_) => Err(Failure::Timeout(within)),
            Ok(Ok(Ok(response))) => checked(response, read.count.into()),
            Ok(Ok(Err(exception))) => Err(Failure::Exception(exception.into())),
            Ok(Err(error)) => Err(failure(&error)),
        }
    }
}

impl fmt::Display for Failure {
    /// In words a site engineer understands, to be followed by what was asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::Timeout(within) => return write!(f, "no answer within {}", ms(*within)),
            Self::Closed => "the device closed the connection; many take one client only",
            Self::Misdirected => {
                "the answer was to another question; is there another master on the line, or is `unit` wrong?"
            }
            Self::Garbled => {
                "the answer was not what Modbus asks for; check the serial settings, or what listens on this port"
            }
            Self::Exception(code) => {
                return write!(f, "exception {code}: {}", exception(*code));
            }
        };
        f.write_str(why)
    }
}

/// What a device means by an exception code (Modbus Application Protocol 1.1b3, 7).
fn exception(code: u8) -> &'static str {
    match code {
        1 => "the device does not know this kind of read; the value may be in another area",
        2 => "the device has no such address; check `base` and whether its manual counts from 0 or 1",
        3 => "the device does not give that many at once; lower `max_registers` or say what its blocks are",
        4 => "the device failed at it",
        5 | 6 => "the device is busy",
        8 => "the device's memory is damaged",
        10 => "the gateway has no way to the unit; check `unit`",
        11 => "the unit behind the gateway does not answer",
        _ => "not a code of the standard; see the device's manual",
    }
}

fn request(read: &Read) -> Request<'static> {
    match read.area {
        Area::Bits(BitArea::Coils) => Request::ReadCoils(read.start, read.count),
        Area::Bits(BitArea::DiscreteInputs) => Request::ReadDiscreteInputs(read.start, read.count),
        Area::Registers(RegisterArea::Holding) => Request::ReadHoldingRegisters(read.start, read.count),
        Area::Registers(RegisterArea::Input) => Request::ReadInputRegisters(read.start, read.count),
    }
}

fn checked(response: Response, count: usize) -> Result<Answer, Failure> {
    match response {
        // Bits come in whole bytes.
        Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits)
            if bits.len() == count.next_multiple_of(8) =>
        {
            bits.truncate(count);
            Ok(Answer::Bits(bits))
        }
        Response::ReadHoldingRegisters(registers) | Response::ReadInputRegisters(registers)
            if registers.len() == count =>
        {
            Ok(Answer::Registers(registers))
        }
        _ => Err(Failure::Garbled),
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Protocol(ProtocolError::HeaderMismatch { .. }) => Failure::Misdirected,
        Error::Protocol(ProtocolError::FunctionCodeMismatch { .. }) => Failure::Garbled,
        Error::Transport(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            Failure::Garbled
        }
        // The end of the stream comes as whatever the operating system complained of last.
        Error::Transport(_) => Failure::Closed,
    }
}

/// Unit, function, address, count, checksum.
const QUESTION_BYTES: u32 = 8;

fn answer_bytes(read: &Read) -> u32 {
    let data = match read.area {
        Area::Bits(_) => u32::from(read.count).div_ceil(8),
        Area::Registers(_) => u32::from(read.count) * 2,
    };
    data + 5
}

fn byte_time(port: &serial::Port) -> Duration {
    let bits = 1 + u32::from(port.data_bits) + u32::from(port.parity != Parity::None) + u32::from(port.stop_bits);
    Duration::from_secs(1) * bits / port.baud.max(1)
}

/// Waits until the line is quiet and throws away what came until then.
async fn drained(mut stream: SerialStream, port: &serial::Port) -> Result<SerialStream, NoConnection> {
    let failed = |error: io::Error| NoConnection(not_opened(port, &error));
    let _ = stream.clear(ClearBuffer::Input);
    let until = Instant::now() + QUIET_WITHIN;
    let mut late = [0; 256];
    while let Ok(came) = timeout(QUIET, stream.read(&mut late)).await {
        if came.map_err(failed)? == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        if Instant::now() > until {
            let path = port.path.display();
            return Err(NoConnection(format!("{path} is never quiet; is there another master on the line?")));
        }
    }
    Ok(stream)
}

fn not_connected(host: &str, port: u16, error: &io::Error) -> String {
    let at = format!("{host}:{port}");
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("connection refused by {at}; is Modbus TCP on at the device, and does it take one client only?")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("no route to {at}; check the cable and the address")
        }
        io::ErrorKind::TimedOut => format!("{at} does not answer; is it switched on?"),
        _ if error.raw_os_error().is_none() => format!("{host} is not known; check the name, or write its address"),
        kind => format!("no connection to {at}: {kind}"),
    }
}

fn not_opened(port: &serial::Port, error: &io::Error) -> String {
    let path = port.path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {path}; is the adapter plugged in?"),
        io::ErrorKind::PermissionDenied => format!("{path} may not be opened; is the service in the port's group?"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            format!("{path} was closed; is the adapter unplugged?")
        }
        kind => format!("{path} cannot be used: {kind}"),
    }
}

/// Whole milliseconds, as the site file writes them.
pub fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_length_is_no_answer() {
        let registers = |count| Response::ReadHoldingRegisters(vec![0; count]);
        assert_eq!(checked(registers(2), 2), Ok(Answer::Registers(vec![0, 0])));
        assert_eq!(checked(registers(1), 2), Err(Failure::Garbled));
        assert_eq!(checked(registers(3), 2), Err(Failure::Garbled));
        let bits = |count| Response::ReadCoils(vec![true; count]);
        assert_eq!(checked(bits(16), 9), Ok(Answer::Bits(vec![true; 9])));
        assert_eq!(checked(bits(8), 9), Err(Failure::Garbled));
        assert_eq!(checked(bits(24), 9), Err(Failure::Garbled));
    }

    #[test]
    fn a_failure_is_told_in_words_and_without_values() {
        let mismatch = ProtocolError::HeaderMismatch {
            message: "expected 1, actual 4711".into(),
            result: Ok(Response::ReadHoldingRegisters(vec![4711])),
        };
        let told = failure(&Error::Protocol(mismatch)).to_string();
        assert!(told.contains("another question") && !told.contains("4711"), "{told}");
        assert_eq!(Failure::Timeout(Duration::from_millis(500)).to_string(), "no answer within 500 ms");
        assert!(
            Failure::Exception(2).to_string().starts_with("exception 2: the device has no such address; check `base`")
        );
    }

    #[test]
    fn a_slow_wire_is_not_held_against_the_device() {
        let port = |baud, parity| serial::Port { path: "/dev/null".into(), baud, data_bits: 8, parity, stop_bits: 1 };
        assert_eq!(byte_time(&port(9600, Parity::None)), Duration::from_secs(10) / 9600);
        assert_eq!(byte_time(&port(19_200, Parity::Even)), Duration::from_secs(11) / 19_200);
        let read = Read {
            area: Area::Registers(RegisterArea::Holding),
            start: 0,
            count: 125,
            points: Vec::new(),
            whole: false,
        };
        assert_eq!(answer_bytes(&read), 255);
    }
}
