//! The report as a site engineer reads it, at three in the morning, on a terminal of eighty columns.

use super::{Report, listed};
use std::fmt::{self, Formatter};

const WIDTH: usize = 96;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sensors: usize = self.zones.iter().map(|zone| zone.sensors.len()).sum();
        let zones = counted(self.zones.len(), "zone");
        writeln!(f, "{}: {zones}, {}; {}, {}", self.site, counted(sensors, "sensor"), self.timezone, self.status)?;
        self.write_lines(f)?;
        self.write_coverage(f)?;
        if !self.recipients.is_empty() {
            self.write_recipients(f)?;
        }
        self.write_credentials(f)?;
        self.write_cautions(f)
    }
}

impl Report {
    fn write_lines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nLINES")?;
        let names = self.lines.iter().map(|line| line.line.chars().count()).max().unwrap_or(0);
        for line in &self.lines {
            writeln!(f, "  {:names$}  {}, {}", line.line, line.is, counted(line.sensors, "sensor"))?;
        }
        Ok(())
    }

    fn write_coverage(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWHAT COVERS WHAT")?;
        for zone in &self.zones {
            let closed = zone.closed.as_ref().map_or_else(String::new, |hours| format!(", closed {hours}"));
            writeln!(f, "\n{}: {} ({}{closed})", zone.zone, zone.name, zone.kind)?;
            if let Some(view) = &zone.in_view {
                let seen = match view.sensors.is_empty() {
                    true => "no scanner sees it".into(),
                    false => format!("{:.0} % of it in view of {}", 100.0 * view.share, listed(&view.sensors, "and")),
                };
                wrapped(f, 2, "", &format!("{:.0} m², {seen}", view.area_m2))?;
            }
            let width = |of: fn(&super::SensorReport) -> &str| {
                zone.sensors.iter().map(|sensor| of(sensor).chars().count()).max().unwrap_or(0)
            };
            let (names, roles, lines) =
                (width(|sensor| &sensor.sensor), width(|sensor| &sensor.role), width(|sensor| &sensor.line));
            for sensor in &zone.sensors {
                let silence = match &sensor.silent_after {
                    Some(after) => format!("; silent after {after}"),
                    None => String::new(),
                };
                let clock = if sensor.synchronised { "; its clock is taken" } else { "" };
                let leads = sensor.leads.as_ref().map_or_else(String::new, |way| format!("; leads {way}"));
                writeln!(
                    f,
                    "  {:names$}  {:roles$}  {:lines$}  {}{leads}{silence}{clock}",
                    sensor.sensor, sensor.role, sensor.line, sensor.read
                )?;
            }
            if zone.sensors.is_empty() {
                writeln!(f, "  no sensor")?;
            }
            for rule in &zone.rules {
                self.write_rule(f, rule)?;
            }
            for domain in zone.domains.iter().filter(|domain| !domain.stops.is_empty()) {
                let text = format!(
                    "if {} fails ({}): {} can say nothing here",
                    domain.domain,
                    domain.sensors.join(", "),
                    listed(&domain.stops, "and")
                );
                wrapped(f, 2, "x ", &text)?;
            }
        }
        Ok(())
    }

    fn write_rule(&self, f: &mut Formatter<'_>, rule: &super::RuleReport) -> fmt::Result {
        let lead = if rule.works { "+ " } else { "! " };
        let mode = match (rule.works, rule.told) {
            (false, _) => "can say nothing here",
            (true, true) => "tells",
            (true, false) => "observes only: nobody is told",
        };
        // A rule that happens to make sense here and has nothing to look at is no news: one line.
        if let (false, false, Some(first)) = (rule.works, rule.named, rule.lacks.first()) {
            return wrapped(f, 2, ". ", &format!("{} {mode}: {first}", rule.rule));
        }
        wrapped(f, 2, lead, &format!("{} ({}) {mode}", rule.rule, rule.kind))?;
        rule.lacks.iter().try_for_each(|lack| wrapped(f, 6, "- ", lack))
    }

    fn write_recipients(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWHO GETS WHAT")?;
        wrapped(f, 0, "", &self.signed)?;
        wrapped(f, 0, "", &self.audited)?;
        for recipient in &self.recipients {
            writeln!(f, "\n{} ({})", recipient.recipient, recipient.organisation)?;
            writeln!(f, "  over {}, confirmed by {}", recipient.upstream, recipient.confirm)?;
            let of = |treatment: &str| {
                let fields = recipient.fields.iter().filter(|(_, how)| how == treatment);
                fields.map(|(class, _)| class.clone()).collect::<Vec<_>>()
            };
            for (treatment, words) in
                [("show", "shown"), ("mask", "masked"), ("pseudonym", "replaced by a pseudonym"), ("drop", "dropped")]
            {
                let fields = of(treatment);
                if !fields.is_empty() {
                    wrapped(f, 2, "", &format!("{words}: {}", fields.join(", ")))?;
                }
            }
            for told in &recipient.gets {
                wrapped(f, 2, "+ ", &format!("{} in {}", told.kinds.join(", "), listed(&told.zones, "and")))?;
            }
            for not in &recipient.not {
                wrapped(
                    f,
                    2,
                    "- ",
                    &format!("no {} in {}: {}", listed(&not.kinds, "or"), listed(&not.zones, "or"), not.why),
                )?;
            }
            if recipient.gets.is_empty() {
                writeln!(f, "  ! gets nothing at all")?;
            }
        }
        Ok(())
    }

    fn write_credentials(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.credentials.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nCREDENTIALS")?;
        let width = self.credentials.iter().map(|credential| credential.credential.chars().count()).max().unwrap_or(0);
        for credential in &self.credentials {
            let found = match credential.found {
                Some(true) => "there   ",
                Some(false) => "MISSING ",
                None => "",
            };
            writeln!(f, "  {:width$}  {found}for {}", credential.credential, credential.used_by.join(", "))?;
        }
        Ok(())
    }

    fn write_cautions(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.cautions.is_empty() {
            return writeln!(f, "\nNothing to caution about.");
        }
        writeln!(f, "\nCAUTION ({})", self.cautions.len())?;
        for caution in &self.cautions {
            writeln!(f)?;
            wrapped(f, 2, "! ", &format!("{}: {}", caution.about, caution.says))?;
            wrapped(f, 4, "", &caution.help)?;
        }
        Ok(())
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Writes a text in lines of at most [`WIDTH`], the first behind `lead`, the others under its first letter.
fn wrapped(f: &mut Formatter<'_>, indent: usize, lead: &str, text: &str) -> fmt::Result {
    let hang = indent + lead.chars().count();
    write!(f, "{:indent$}{lead}", "")?;
    let mut column = hang;
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > WIDTH {
            write!(f, "\n{:hang$}", "")?;
            column = hang;
        } else if index > 0 {
            write!(f, " ")?;
            column += 1;
        }
        write!(f, "{word}")?;
        column += length;
    }
    writeln!(f)
}
