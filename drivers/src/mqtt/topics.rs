//! Topics and topic filters (MQTT 5.0, section 4.7), and which filters a session asks for.

use super::{Gives, Subscription};

/// Whether a text is a topic filter: `+` fills a level, `#` is the last level, no control character, at most 65,535 bytes.
pub fn is_filter(filter: &str) -> bool {
    let filter = shared(filter);
    let levels = filter.split('/');
    let last = levels.clone().count() - 1;
    let well_formed = |(index, level): (usize, &str)| match level {
        "+" => true,
        "#" => index == last,
        level => !level.contains(['+', '#']),
    };
    (1..=usize::from(u16::MAX)).contains(&filter.len())
        && !filter.chars().any(char::is_control)
        && levels.enumerate().all(well_formed)
}

/// Whether a topic matches a filter. Topics that begin with `$` are matched by name only.
pub fn matches(filter: &str, topic: &str) -> bool {
    let filter = shared(filter);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    covers_levels(filter, topic, |wide, level| wide == "+" || wide == level)
}

/// A filter that a session asks the broker for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: String,
    pub(super) at_least_once: bool,
    /// Whether what the broker kept is wanted at every connection and not only the first time: the present state of
    /// something, or what a QoS 0 subscription missed.
    pub(super) retained_again: bool,
}

/// The fewest filters that bring every message of the subscriptions, in their order: a broker may send one copy of a message
/// for each filter that matches.
pub(super) fn wanted(subscriptions: &[Subscription]) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for subscription in subscriptions {
        let again = !subscription.at_least_once || matches!(subscription.gives, Gives::Frigate { .. });
        for filter in subscription.filters() {
            let one = Wanted { filter, at_least_once: subscription.at_least_once, retained_again: again };
            add(&mut wanted, one);
        }
    }
    wanted
}

fn add(wanted: &mut Vec<Wanted>, mut one: Wanted) {
    if let Some(wide) = wanted.iter_mut().find(|wide| covers(&wide.filter, &one.filter)) {
        wide.at_least_once |= one.at_least_once;
        wide.retained_again |= one.retained_again;
        return;
    }
    wanted.retain(|narrow| {
        let covered = covers(&one.filter, &narrow.filter);
        if covered {
            one.at_least_once |= narrow.at_least_once;
            one.retained_again |= narrow.retained_again;
        }
        !covered
    });
    wanted.push(one);
}

/// Whether every topic that matches `narrow` matches `wide`.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    // A shared subscription divides messages among its members: it covers nothing and nothing covers it.
    if wide.starts_with(SHARE) || narrow.starts_with(SHARE) {
        return false;
    }
    if narrow.starts_with('$') && wide.starts_with(['+', '#']) {
        return false;
    }
    covers_levels(wide, narrow, |wide, level| (wide == "+" && level != "#") || wide == level)
}

fn covers_levels(wide: &str, narrow: &str, level_covers: impl Fn(&str, &str) -> bool) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            // `a/#` matches `a` too.
            (Some("#"), _) => return true,
            (Some(wide), Some(level)) if level_covers(wide, level) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

const SHARE: &str = "$share/";

/// What a shared subscription, `$share/<group>/<filter>`, filters by.
fn shared(filter: &str) -> &str {
    filter.strip_prefix(SHARE).and_then(|rest| rest.split_once('/')).map_or(filter, |(_, filter)| filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        json::{Kind, Mapping},
        mqtt::Session,
    };
    use proptest::prelude::*;
    use quaywatch_schemas::SensorId;

    #[test]
    fn topics_match_as_the_standard_has_it() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/+/c", "a/b/c", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("+", "a/b", false),
            ("+/+", "/a", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$share/gates/a/+", "a/b", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn what_is_not_a_filter_is_told_from_what_is() {
        for filter in ["a", "/", "a//b", "+", "#", "a/+/#", "$SYS/#", "$share/gates/a/#", "frigate/quay west/all"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "a#", "a/#/b", "a+", "+a/b", "a\u{0}", "$share/gates/"] {
            assert!(!is_filter(filter), "{filter}");
        }
    }

    fn subscription(topic: &str, at_least_once: bool) -> Subscription {
        let gives = Gives::Json { sensor: SensorId::new("a").unwrap(), mapping: Mapping::of(Kind::Contact, "") };
        Subscription { topic: topic.into(), session: Session::Alarm, at_least_once, gives }
    }

    #[test]
    fn a_filter_that_another_covers_is_not_asked_for_and_its_quality_is_kept() {
        let all = ["a/b", "c", "a/+", "c", "a/#", "$SYS/x"].map(|topic| subscription(topic, topic == "a/b"));
        let filters: Vec<(String, bool)> =
            wanted(&all).into_iter().map(|wanted| (wanted.filter, wanted.at_least_once)).collect();
        assert_eq!(filters, [("c".into(), false), ("a/#".into(), true), ("$SYS/x".into(), false)]);
    }

    proptest! {
        #[test]
        fn a_covering_filter_matches_whatever_the_covered_one_matches(
            wide in "(\\$|[ab+])(/[ab+]){0,2}(/#)?", narrow in "(\\$|[ab+])(/[ab+]){0,2}(/#)?", topic in "[$ab](/[ab]){0,3}",
        ) {
            if covers(&wide, &narrow) && matches(&narrow, &topic) {
                prop_assert!(matches(&wide, &topic));
            }
        }
    }
}
