//! What a node has channels for. The names are those of the site file.

use core::fmt;
use serde::{Deserialize, Serialize};

/// How many channels there are.
pub const CHANNELS: usize = 28;

macro_rules! channels {
    ($($(#[$doc:meta])* $variant:ident $name:literal $kind:expr,)*) => {
        /// A channel of a node. The order is the wire format: a new channel goes to the end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Channel {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Channel {
            /// All of them, in wire order.
            pub const ALL: [Self; CHANNELS] = [$(Self::$variant),*];

            /// As the site file names it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it says.
            pub fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => $kind,)*
                }
            }
        }
    };
}

channels! {
    /// A passive infrared detector: `true` while something warm moves.
    Pir "pir" Kind::State,
    /// A tamper switch or seal: `true` from the moment it opened until the gateway has stored that and it is closed again.
    Tamper "tamper" Kind::State,
    /// A fence that moves: `true` while the vibration's energy is above its limit, with hysteresis.
    Fence "fence" Kind::State,
    /// The vibration's energy: root mean square of acceleration without its constant part, over one window.
    Vibration "vibration" Kind::Measure("m/s2"),
    /// A door contact: `true` is open.
    Door "door" Kind::State,
    /// A contact: `true` is closed.
    Contact1 "contact-1" Kind::State,
    /// A contact: `true` is closed.
    Contact2 "contact-2" Kind::State,
    /// A contact: `true` is closed.
    Contact3 "contact-3" Kind::State,
    /// A contact: `true` is closed.
    Contact4 "contact-4" Kind::State,
    /// A mooring line's load cell.
    Load1 "load-1" Kind::Measure("kN"),
    /// A mooring line's load cell.
    Load2 "load-2" Kind::Measure("kN"),
    /// A mooring line's load cell.
    Load3 "load-3" Kind::Measure("kN"),
    /// A mooring line's load cell.
    Load4 "load-4" Kind::Measure("kN"),
    /// Temperature inside the enclosure.
    Temperature "temperature" Kind::Measure("Cel"),
    /// Supply voltage.
    Supply "supply" Kind::Measure("V"),
    /// The node's word on itself: boots, why it started, supply.
    Health "health" Kind::Health,
    /// A badge reader: whose credential was read, and whether the channel `grant` then let them in.
    Badge1 "badge-1" Kind::Credential,
    /// A second one, at the other side of the door.
    Badge2 "badge-2" Kind::Credential,
    /// How far the next thing is; the sensor's farthest if there is none.
    Range "range" Kind::Measure("m"),
    /// Something is near: `true` from `near.on` to `near.off` of the range, or what a detector's contact says.
    Presence "presence" Kind::State,
    /// Temperature outside the enclosure.
    AirTemperature "air-temperature" Kind::Measure("Cel"),
    /// Relative humidity.
    Humidity "humidity" Kind::Measure("%"),
    /// Air pressure.
    Pressure "pressure" Kind::Measure("kPa"),
    /// A request to exit: `true` while the button is pressed or the detector inside sees somebody.
    Rex "rex" Kind::State,
    /// The controller releases the lock: `true` while it does.
    Grant "grant" Kind::State,
    /// The door was opened without a grant or a request to exit: `true` until it is closed.
    DoorForced "door-forced" Kind::State,
    /// The door has stood open for too long: `true` until it is closed.
    DoorHeld "door-held" Kind::State,
    /// The fence is being cut: `true` from the last of several blows until none came for as long.
    FenceCut "fence-cut" Kind::State,
}

/// What a channel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    State,
    /// A quantity, in this UCUM unit.
    Measure(&'static str),
    /// How the node is.
    Health,
    /// Whose credential was read.
    Credential,
}

/// The firmware has no channel of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchChannel;

impl fmt::Display for NoSuchChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node has no such channel; it has ")?;
        for (i, channel) in Channel::ALL.iter().enumerate() {
            write!(f, "{}{channel}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for NoSuchChannel {}

impl Channel {
    /// The channel of a name in the site file.
    pub fn parse(name: &str) -> Result<Self, NoSuchChannel> {
        Self::ALL.into_iter().find(|channel| channel.name() == name).ok_or(NoSuchChannel)
    }

    /// Its place in tables of all channels.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
