//! Two times that are never confused: the gateway's own, which orders, and the wall's, which people read.

use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Gateway time: nanoseconds that never decrease, also across restarts. The ledger's writer stamps it; fusion sees no
/// other clock. It begins at what the box believed to be Unix time and from then on follows a monotonic clock, so it may
/// be far from the truth on a box that started without a clock; [`WallTime`] beside it says what is believed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GatewayTime(pub u64);

impl GatewayTime {
    /// This time and `by` more, saturating.
    #[inline]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_nanos().min(u64::MAX as u128) as u64))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    #[inline]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Wall time: nanoseconds since the Unix epoch, UTC, as somebody's clock believed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub i64);

impl WallTime {
    /// From milliseconds since the Unix epoch, saturating.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From fractional seconds since the Unix epoch. `None` for NaN, infinities and what 64-bit nanoseconds cannot hold.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let nanos = seconds * 1e9;
        (nanos.is_finite() && nanos.abs() < 9.2e18).then_some(Self(nanos as i64))
    }

    /// Milliseconds since the Unix epoch, rounded towards the past.
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This time and `by` more, saturating.
    #[inline]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_nanos().min(i64::MAX as u128) as i64))
    }

    /// This time and `by` less, saturating.
    #[inline]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_nanos().min(i64::MAX as u128) as i64))
    }
}

/// How far the gateway's wall clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    /// Disciplined by a time source now.
    Synchronised,
    /// Was disciplined since boot, is not now.
    Holdover,
    /// Never disciplined since boot.
    #[default]
    Unsynchronised,
}

/// The wall clock's state and the most it may be off by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
pub struct ClockQuality {
    /// Whether a time source disciplines it.
    pub gateway: ClockState,
    /// Milliseconds either way; `u32::MAX` when nothing is known.
    pub uncertainty_ms: u32,
}
