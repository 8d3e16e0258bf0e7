//! A Modbus TCP endpoint with three devices behind it, as a gate's PLC that also fronts a scale and a berth would be.
//!
//! | unit | area | address | what |
//! |---|---|---|---|
//! | 1 | discrete inputs | 0, 1, 2 | lane 1: loop before the arm, loop behind it, arm away from its closed position |
//! | 1 | discrete inputs | 4, 5, 6 and 8, 9, 10 | lanes 2 and 3 the same |
//! | 1 | discrete inputs | 16, 17 | doors of sheds 1 and 2: open |
//! | 1 | holding registers | 10, 11, 12 | passages granted in lanes 1, 2 and 3, counting up |
//! | 2 | holding registers | 0, 1 | what the scale displays, i32, low word first |
//! | 2 | holding registers | 2 | decimal places of the display |
//! | 2 | holding registers | 3 | status; bit 0: the value has settled |
//! | 3 | input registers | 0, 2 | loads of mooring lines 1 and 2, f32 in kN |
//! | 3 | input registers | 4 | wind speed, f32 in m/s |
//!
//! Everything else is an illegal data address, and every function that writes is an illegal function.

use super::DeviceError;
use crate::world::{Contact, Happening, Lane, Shed};
use futures_util::future::{Ready, ready};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::net::TcpListener;
use tokio_modbus::{
    ExceptionCode, Request, Response, SlaveRequest,
    server::{Service, tcp::Server},
};
use tokio_util::sync::CancellationToken;

const WHAT: &str = "the PLC";
const GATE: u8 = 1;
const SCALE: u8 = 2;
const BERTH: u8 = 3;
const DOORS: u16 = 16;
const GRANTS: u16 = 10;

/// A running endpoint.
#[derive(Debug, Clone)]
pub struct Plc {
    image: Arc<Mutex<Image>>,
}

/// What its devices have in their memory.
#[derive(Debug, Default)]
struct Image {
    discrete: BTreeMap<(u8, u16), bool>,
    holding: BTreeMap<(u8, u16), u16>,
    input: BTreeMap<(u8, u16), u16>,
}

impl Plc {
    /// Listens on a free loopback port until stopped.
    pub async fn start(stop: CancellationToken) -> Result<(Self, SocketAddr), DeviceError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|why| DeviceError::new(WHAT, why))?;
        let address = listener.local_addr().map_err(|why| DeviceError::new(WHAT, why))?;
        let image = Arc::new(Mutex::new(Image::at_rest()));
        let service = Devices { image: Arc::clone(&image) };
        tokio::spawn(async move {
            let server = Server::new(listener);
            let connected = |stream, _| {
                let service = service.clone();
                async move { Ok(Some((service, stream))) }
            };
            let gone = |why| tracing::debug!(%why, "a Modbus client is gone");
            tokio::select! {
                ended = server.serve(&connected, gone) => {
                    if let Err(why) = ended {
                        tracing::error!(%why, "the simulated PLC has stopped");
                    }
                }
                () = stop.cancelled() => {}
            }
        });
        Ok((Self { image }, address))
    }

    /// Shows what happens, as far as it is wired to a PLC.
    pub fn show(&self, happening: &Happening) {
        let mut image = self.lock();
        match happening {
            Happening::Contact(contact, lane, on) => {
                image.discrete.insert((GATE, contact_address(*contact, *lane)), *on);
            }
            Happening::Door(shed, open) => {
                image.discrete.insert((GATE, door_address(*shed)), *open);
            }
            Happening::Granted(lane) => {
                let count = image.holding.entry((GATE, GRANTS + lane_index(*lane))).or_default();
                *count = count.wrapping_add(1);
            }
            Happening::Weight { kg, settled } => {
                image.holding.insert((SCALE, 0), *kg as u16);
                image.holding.insert((SCALE, 1), (*kg >> 16) as u16);
                image.holding.insert((SCALE, 3), u16::from(*settled));
            }
            _ => {}
        }
    }

    /// Shows the berth's instruments.
    pub fn show_berth(&self, loads_kn: [f64; 2], wind: f64) {
        let mut image = self.lock();
        for (value, address) in [(loads_kn[0], 0), (loads_kn[1], 2), (wind, 4)] {
            let bits = (value as f32).to_bits();
            image.input.insert((BERTH, address), (bits >> 16) as u16);
            image.input.insert((BERTH, address + 1), bits as u16);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Image> {
        // What panicked while it held the lock has set whole values or none.
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Image {
    fn at_rest() -> Self {
        let mut image = Self::default();
        for lane in Lane::ALL {
            for contact in Contact::ALL {
                image.discrete.insert((GATE, contact_address(contact, lane)), false);
            }
            // Unused, but the controller answers for it, as blocks of four do.
            image.discrete.insert((GATE, lane_index(lane) * 4 + 3), false);
            image.holding.insert((GATE, GRANTS + lane_index(lane)), 0);
        }
        for shed in Shed::ALL {
            image.discrete.insert((GATE, door_address(shed)), false);
        }
        for (address, value) in [(0, 0), (1, 0), (2, 0), (3, 1)] {
            image.holding.insert((SCALE, address), value);
        }
        for address in 0..6 {
            image.input.insert((BERTH, address), 0);
        }
        image
    }
}

fn contact_address(contact: Contact, lane: Lane) -> u16 {
    let within = match contact {
        Contact::Approach => 0,
        Contact::Exit => 1,
        Contact::Arm => 2,
    };
    lane_index(lane) * 4 + within
}

fn door_address(shed: Shed) -> u16 {
    match shed {
        Shed::One => DOORS,
        Shed::Two => DOORS + 1,
    }
}

fn lane_index(lane: Lane) -> u16 {
    match lane {
        Lane::One => 0,
        Lane::Two => 1,
        Lane::Three => 2,
    }
}

#[derive(Debug, Clone)]
struct Devices {
    image: Arc<Mutex<Image>>,
}

impl Service for Devices {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        let unit = request.slave;
        ready(match request.request {
            Request::ReadDiscreteInputs(first, count) => {
                read(&image.discrete, unit, first, count).map(Response::ReadDiscreteInputs)
            }
            Request::ReadHoldingRegisters(first, count) => {
                read(&image.holding, unit, first, count).map(Response::ReadHoldingRegisters)
            }
            Request::ReadInputRegisters(first, count) => {
                read(&image.input, unit, first, count).map(Response::ReadInputRegisters)
            }
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

fn read<T: Copy>(area: &BTreeMap<(u8, u16), T>, unit: u8, first: u16, count: u16) -> Result<Vec<T>, ExceptionCode> {
    let addresses = u32::from(first)..u32::from(first) + u32::from(count);
    let values = addresses.map(|address| {
        let address = u16::try_from(address).map_err(|_| ExceptionCode::IllegalDataAddress)?;
        area.get(&(unit, address)).copied().ok_or(ExceptionCode::IllegalDataAddress)
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_modbus::{
        client::{Reader, Writer, tcp},
        slave::{Slave, SlaveContext},
    };

    #[tokio::test]
    async fn a_modbus_client_reads_what_the_world_shows() {
        let stop = CancellationToken::new();
        let (plc, address) = Plc::start(stop.clone()).await.unwrap();
        plc.show(&Happening::Contact(Contact::Exit, Lane::Two, true));
        plc.show(&Happening::Granted(Lane::Three));
        plc.show(&Happening::Granted(Lane::Three));
        plc.show(&Happening::Weight { kg: 38_460, settled: false });
        plc.show(&Happening::Door(Shed::Two, true));
        plc.show_berth([251.5, 104.25], 9.75);
        let mut client = tcp::connect_slave(address, Slave(1)).await.unwrap();
        let contacts = client.read_discrete_inputs(0, 12).await.unwrap().unwrap();
        assert_eq!(contacts.iter().position(|on| *on), Some(5));
        assert_eq!(client.read_discrete_inputs(16, 2).await.unwrap().unwrap(), [false, true]);
        assert_eq!(client.read_holding_registers(10, 3).await.unwrap().unwrap(), [0, 0, 2]);
        client.set_slave(Slave(2));
        let scale = client.read_holding_registers(0, 4).await.unwrap().unwrap();
        assert_eq!((i32::from(scale[1]) << 16 | i32::from(scale[0]), scale[2], scale[3] & 1), (38_460, 0, 0));
        client.set_slave(Slave(3));
        let berth = client.read_input_registers(0, 6).await.unwrap().unwrap();
        let float = |at: usize| f32::from_bits(u32::from(berth[at]) << 16 | u32::from(berth[at + 1]));
        assert_eq!([float(0), float(2), float(4)], [251.5, 104.25, 9.75]);
        stop.cancel();
    }

    #[tokio::test]
    async fn what_is_not_there_and_what_would_write_is_refused() {
        let stop = CancellationToken::new();
        let (_plc, address) = Plc::start(stop.clone()).await.unwrap();
        let mut client = tcp::connect_slave(address, Slave(1)).await.unwrap();
        let beyond = client.read_holding_registers(12, 2).await.unwrap();
        assert_eq!(beyond, Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(client.read_discrete_inputs(65_535, 2).await.unwrap(), Err(ExceptionCode::IllegalDataAddress));
        let written = client.write_single_register(10, 7).await.unwrap();
        assert_eq!(written, Err(ExceptionCode::IllegalFunction));
        assert_eq!(client.read_holding_registers(10, 1).await.unwrap().unwrap(), [0]);
        client.set_slave(Slave(9));
        assert_eq!(client.read_input_registers(0, 1).await.unwrap(), Err(ExceptionCode::IllegalDataAddress));
        stop.cancel();
    }
}
