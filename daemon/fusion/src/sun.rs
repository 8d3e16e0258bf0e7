//! How high the sun stands, so that day and night need no sensor.
//!
//! The low-precision formulas of the *Astronomical Almanac* (US Naval Observatory, "Computing approximate solar
//! coordinates"): within an arc minute from 1950 to 2050, which is a few seconds of twilight.

use quaywatch_schemas::WallTime;

/// The end of civil twilight: below this lamps are needed to see anything outside.
pub(crate) const CIVIL_TWILIGHT_DEG: f64 = -6.0;

/// Degrees above the horizon at a moment and place (WGS 84, east positive), without refraction.
pub(crate) fn altitude_deg(at: WallTime, latitude_deg: f64, longitude_deg: f64) -> f64 {
    // Days since J2000.0, 2000-01-01 12:00; UTC stands in for the two time scales, which differ from it by a minute or less.
    let days = at.0 as f64 / 86_400e9 - 10_957.5;
    let anomaly = radians(357.529 + 0.985_600_28 * days);
    let mean_longitude = 280.459 + 0.985_647_36 * days;
    let longitude = radians(mean_longitude + 1.915 * libm::sin(anomaly) + 0.020 * libm::sin(2.0 * anomaly));
    let obliquity = radians(23.439 - 0.000_000_36 * days);
    let right_ascension = libm::atan2(libm::cos(obliquity) * libm::sin(longitude), libm::cos(longitude));
    let declination = libm::asin(libm::sin(obliquity) * libm::sin(longitude));
    let sidereal_hours = 18.697_374_558 + 24.065_709_824_419_08 * days;
    let hour_angle = radians(15.0 * sidereal_hours + longitude_deg) - right_ascension;
    let latitude = radians(latitude_deg);
    let sine = libm::sin(latitude) * libm::sin(declination)
        + libm::cos(latitude) * libm::cos(declination) * libm::cos(hour_angle);
    libm::asin(sine.clamp(-1.0, 1.0)).to_degrees()
}

/// Degrees as an angle below one turn: sine and cosine of large angles lose digits.
fn radians(degrees: f64) -> f64 {
    libm::fmod(degrees, 360.0).to_radians()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTTERDAM: (f64, f64) = (51.95, 4.14);

    fn altitude(unix_seconds: i64) -> f64 {
        altitude_deg(WallTime(unix_seconds * 1_000_000_000), ROTTERDAM.0, ROTTERDAM.1)
    }

    /// At noon of a solstice the sun stands at 90° minus latitude plus or minus the obliquity; 4.14° E is 16.6 minutes before
    /// Greenwich, and the equation of time is below 2 minutes on both days.
    #[test]
    fn at_a_solstice_noon_it_stands_where_the_obliquity_puts_it() {
        let (summer, winter) = (1_782_042_330, 1_797_939_690); // 2026-06-21 11:45:30, 2026-12-22 11:41:30 UTC
        assert!((altitude(summer) - (90.0 - 51.95 + 23.436)).abs() < 0.1, "{}", altitude(summer));
        assert!((altitude(winter) - (90.0 - 51.95 - 23.436)).abs() < 0.1, "{}", altitude(winter));
    }

    #[test]
    fn it_is_dark_at_three_in_the_morning_in_march_and_light_at_noon() {
        let three = 1_773_457_200; // 2026-03-14 03:00 UTC
        assert!(altitude(three) < CIVIL_TWILIGHT_DEG);
        assert!(altitude(three + 9 * 3600) > 0.0);
    }
}
