//! How a sensor is read from what streams in: lines of text, AIS sentences, frames.

use super::{
    SensorTable, defaults,
    sensors::{Around, Reading, Wired, kind_of, reporting, unit_of},
};
use crate::config::{
    document::Table,
    findings::Findings,
    plan::Read,
    values::site::{Positions, ReadingKind, StableWhen},
    written::Word,
};
use quaywatch_drivers::{frame, serial_text};
use std::time::Duration;
use toml::Spanned;

pub(super) fn text(table: &mut Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<Wired> {
    let help = "pattern = '…(?<value>[0-9.]+)…': a regular expression that matches a line of this device";
    let (at, path) = (table.at.clone(), table.path.clone());
    let pattern = findings.need(table.value.pattern.take(), (&at, &path), "pattern", help);
    kind_of(table, reading, &[ReadingKind::Measure], "a line of text", findings)?;
    let unit = unit_of(table, reading, findings)?;
    let reporting = reporting(table, reading.usual.deadband_in(&unit), Duration::from_secs(1), findings);
    let stable_when = match findings.take(table.value.stable_when.take()).map(Spanned::into_inner) {
        Some(StableWhen::Texts(texts)) => {
            texts.into_iter().filter_map(|text| findings.value(Some(text))).map(|text| text.0).collect()
        }
        Some(StableWhen::Bit(_)) => {
            let what = "a line of text has no registers";
            findings.add(
                table.key("stable_when"),
                what,
                "write the texts of the group `stable` that mean settled: [\"ST\"]",
            );
            Vec::new()
        }
        None => Vec::new(),
    };
    let pattern = pattern?;
    let has_group = pattern.get_ref().0.capture_names().flatten().any(|group| group == "stable");
    if has_group == stable_when.is_empty() {
        let (at, what, help) = if has_group {
            (
                pattern.span(),
                "this pattern finds `stable`, but nothing says what it means",
                "add stable_when = [\"ST\"]",
            )
        } else {
            (table.key("stable_when"), "the pattern has no group `stable`", "add (?<stable>…) to the pattern")
        };
        findings.add(at, what, help);
    }
    Some(Wired {
        read: Read::SerialText(serial_text::Reader {
            sensor: reading.id.clone(),
            pattern: pattern.into_inner().0,
            unit: unit.clone(),
            stable_when,
            range: reading.range,
            reporting,
        }),
        unit: Some(unit),
        silent_after: Some(defaults::silent_after(reporting.heartbeat)),
    })
}

/// An AIS receiver: one sensor hears all vessels.
pub(super) fn ais(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    around: &Around<'_>,
    findings: &mut Findings,
) -> Option<Wired> {
    kind_of(table, reading, &[ReadingKind::Vessel], "an AIS receiver", findings)?;
    if !around.has_grid {
        let help =
            "add grid = { latitude = 51.95, longitude = 4.05 } to [site]: where the grid's origin is on the Earth";
        findings.add(
            table.key("role"),
            "vessels say where they are on the Earth, and the site has no grid there",
            help,
        );
    }
    Some(Wired { read: Read::Ais, unit: None, silent_after: Some(defaults::AIS_SILENT_AFTER) })
}

/// A line of frames: one sensor scans.
pub(super) fn frames(table: &mut Table<SensorTable>, reading: &Reading<'_>, findings: &mut Findings) -> Option<Wired> {
    kind_of(table, reading, &[ReadingKind::Frame], "a line of frames", findings)?;
    let source = scanner(table, reading, findings)?;
    Some(Wired { read: Read::Frames(source), unit: None, silent_after: Some(defaults::SCAN_SILENT_AFTER) })
}

/// A source of frames, and that its positions can be placed.
pub(super) fn scanner(
    table: &mut Table<SensorTable>,
    reading: &Reading<'_>,
    findings: &mut Findings,
) -> Option<frame::Source> {
    let positions = match table.value.positions.take() {
        None => Positions::Polar,
        said => findings.value(said).map(|Word(positions)| positions)?,
    };
    if reading.gives_positions() && positions == Positions::Polar && !table.has("mount") {
        let what = format!("`{}` gives distance and bearing, and nothing says from where", table.path);
        let help = "add mount = { x = 12, y = -3, facing = \"90 deg\" } in the site's grid, or positions = \"cartesian\" if \
                    it gives places in that grid itself";
        findings.add(table.at.clone(), what, help);
    }
    let polar = positions == Positions::Polar;
    Some(frame::Source { sensor: reading.id.clone(), polar })
}
