//! Messages as ITU-R M.1371-5, annex 8, lays them out. Bit numbers are the standard's, from 0.

use super::bits::Bits;
use crate::json::Undecodable;

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) mmsi: u32,
    pub(super) position: Option<Position>,
    pub(super) known: Known,
}

/// Where a vessel says it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Position {
    /// Degrees north and east; `None` if it does not know.
    pub(super) place: Option<(f64, f64)>,
    /// m/s.
    pub(super) speed: Option<f64>,
    /// Degrees from true north.
    pub(super) course: Option<f64>,
    /// Degrees from true north.
    pub(super) heading: Option<f64>,
    /// Metres.
    pub(super) accuracy: f64,
    /// Of the minute.
    pub(super) second: Option<u8>,
}

/// What a vessel says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Known {
    pub(super) name: Option<String>,
    pub(super) ship_type: Option<u8>,
    pub(super) imo: Option<u32>,
    /// Metres from bow to stern.
    pub(super) length: Option<u16>,
}

/// Reads a message. `None` if it is of a type that says nothing of a vessel's place or name.
pub(super) fn decode(bits: &Bits) -> Result<Option<Message>, Undecodable> {
    let kind = bits.unsigned(0, 6)?;
    if !matches!(kind, 1..=3 | 5 | 18 | 19 | 24 | 27) {
        return Ok(None);
    }
    let mmsi = bits.unsigned(8, 30)?;
    if !is_vessel(mmsi) {
        return Err(Undecodable("an MMSI that no vessel has".into()));
    }
    let mut message = Message { mmsi, position: None, known: Known::default() };
    match kind {
        1..=3 => message.position = Some(position(bits, 50, 60, 137)?),
        18 => message.position = Some(position(bits, 46, 56, 133)?),
        19 => {
            message.position = Some(position(bits, 46, 56, 133)?);
            message.known = Known {
                name: bits.text(143, 20)?,
                ship_type: ship_type(bits.unsigned(263, 8)?),
                imo: None,
                length: length(bits, 271)?,
            };
        }
        5 => {
            message.known = Known {
                name: bits.text(112, 20)?,
                ship_type: ship_type(bits.unsigned(232, 8)?),
                imo: imo(bits.unsigned(40, 30)?),
                length: length(bits, 240)?,
            };
        }
        24 => match bits.unsigned(38, 2)? {
            0 => message.known.name = bits.text(40, 20)?,
            1 => {
                message.known.ship_type = ship_type(bits.unsigned(40, 8)?);
                // A boat of a ship says its mother ship's MMSI where others say their size.
                if !is_auxiliary(mmsi) {
                    message.known.length = length(bits, 132)?;
                }
            }
            _ => return Err(Undecodable("static data has parts A and B and no other".into())),
        },
        _ => message.position = Some(long_range(bits)?),
    }
    Ok(Some(message))
}

const KNOT: f64 = 1852.0 / 3600.0;
/// "Better than 10 m" and "10 m or worse": GNSS without corrections is good for about 30 m at a berth among cranes.
const HIGH_ACCURACY: f64 = 10.0;
const LOW_ACCURACY: f64 = 30.0;
/// A tenth of a minute of latitude is 185 m: half of it to each side.
const LONG_RANGE_ACCURACY: f64 = 100.0;

/// Class A and B lay a position out alike, at other places: speed, then from `accuracy` on, then the second.
fn position(bits: &Bits, speed: usize, accuracy: usize, second: usize) -> Result<Position, Undecodable> {
    let (longitude, latitude) = (bits.signed(accuracy + 1, 28)?, bits.signed(accuracy + 29, 27)?);
    let course = bits.unsigned(accuracy + 56, 12)?;
    let heading = bits.unsigned(accuracy + 68, 9)?;
    let second = bits.unsigned(second, 6)?;
    let speed = bits.unsigned(speed, 10)?;
    Ok(Position {
        place: place(latitude, longitude, 600_000)?,
        speed: (speed != 1023).then(|| f64::from(speed) / 10.0 * KNOT),
        course: (course < 3600).then(|| f64::from(course) / 10.0),
        heading: (heading < 360).then(|| f64::from(heading)),
        accuracy: if bits.flag(accuracy)? { HIGH_ACCURACY } else { LOW_ACCURACY },
        second: u8::try_from(second).ok().filter(|second| *second < 60),
    })
}

fn long_range(bits: &Bits) -> Result<Position, Undecodable> {
    let (longitude, latitude) = (bits.signed(44, 18)?, bits.signed(62, 17)?);
    let (speed, course) = (bits.unsigned(79, 6)?, bits.unsigned(85, 9)?);
    Ok(Position {
        place: place(latitude, longitude, 600)?,
        speed: (speed != 63).then(|| f64::from(speed) * KNOT),
        course: (course < 360).then(|| f64::from(course)),
        heading: None,
        accuracy: LONG_RANGE_ACCURACY,
        second: None,
    })
}

/// Degrees north and east of so many parts a degree. 91 and 181 mean that it does not know.
fn place(latitude: i32, longitude: i32, parts: i32) -> Result<Option<(f64, f64)>, Undecodable> {
    if latitude == 91 * parts || longitude == 181 * parts {
        return Ok(None);
    }
    if latitude.abs() > 90 * parts || longitude.abs() > 180 * parts {
        return Err(Undecodable("a place that is not on the Earth".into()));
    }
    Ok(Some((f64::from(latitude) / f64::from(parts), f64::from(longitude) / f64::from(parts))))
}

/// From bow to stern by way of the antenna; 0 if it does not say.
fn length(bits: &Bits, bow: usize) -> Result<Option<u16>, Undecodable> {
    let length = bits.unsigned(bow, 9)? + bits.unsigned(bow + 9, 9)?;
    Ok(u16::try_from(length).ok().filter(|length| *length > 0))
}

/// 0 is not available; from 100 on nothing is assigned (M.1371-5, table 53).
fn ship_type(number: u32) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| (1..100).contains(number))
}

/// Seven digits; the last is that of the sum of the others times 7 to 2 (IMO resolution A.1117(30)).
fn imo(number: u32) -> Option<u32> {
    if !(1_000_000..=9_999_999).contains(&number) {
        return None;
    }
    let digit = |place: u32| number / 10_u32.pow(place) % 10;
    let sum: u32 = (1..7).map(|place| digit(place) * (place + 1)).sum();
    (sum % 10 == digit(0)).then_some(number)
}

/// ITU-R M.585: ships begin with the digits of a country, their boats with 98, what sends for help with 970, 972 or 974. Coast
/// stations, aids, aircraft and numbers that nobody was given are no vessels.
fn is_vessel(mmsi: u32) -> bool {
    (201_000_000..=775_999_999).contains(&mmsi) || is_auxiliary(mmsi) || matches!(mmsi / 1_000_000, 970 | 972 | 974)
}

fn is_auxiliary(mmsi: u32) -> bool {
    mmsi / 10_000_000 == 98
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imo_number_counts_only_with_its_check_digit() {
        assert_eq!(imo(9_074_729), Some(9_074_729));
        for wrong in [9_074_728, 9_074_792, 0, 1, 999_999, 10_747_290, u32::MAX] {
            assert_eq!(imo(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ships_boats_and_distress_beacons_are_vessels_and_stations_are_not() {
        for vessel in [201_000_000, 244_123_456, 775_999_999, 982_441_234, 970_000_001] {
            assert!(is_vessel(vessel), "{vessel}");
        }
        for other in [0, 1_193_046, 2_442_000, 111_244_000, 123_456_789, 992_441_234, 1_073_741_823] {
            assert!(!is_vessel(other), "{other}");
        }
    }
}
