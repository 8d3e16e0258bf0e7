use super::*;
use alloc::{format, string::ToString};

fn fault(draft: Draft) -> alloc::string::String {
    draft.check().expect_err("this should not pass").to_string()
}

/// Those channels that take most, each with the longest sensing it can have and the largest numbers in it.
fn longest() -> Draft {
    let alarm = Some(Hysteresis { on: 1e8, off: 1e7 });
    let report = Measure { deadband: 1e8, alarm, stale_ms: 14_400_000, lowest: -1e9, highest: 1e9 };
    let span = |from| Span { from, bits: 40 };
    let layout = Layout {
        bits: 64,
        facility: Span { from: 32, bits: 32 },
        number: span(24),
        even: Some(Parity { at: 63, over: span(24) }),
        odd: Some(Parity { at: 62, over: span(24) }),
    };
    let load = Load {
        temperature: Some(Channel::AirTemperature),
        smooth_ms: 60_000,
        settled_ms: 60_000,
        report,
        ..Load::default()
    };
    use Channel::{
        AirTemperature, Badge1, Badge2, Door as TheDoor, Grant, Humidity, Load1, Load2, Load3, Load4, Pir, Pressure,
        Range as TheRange, Supply, Temperature, Vibration as TheVibration,
    };
    let measured = [Load1, Load2, Load3, Load4, AirTemperature, Humidity, Pressure, Supply, Temperature];
    let others = [TheVibration, TheRange, Badge1, Badge2, Pir, TheDoor, Grant];
    let inputs = measured.into_iter().chain(others).map(|channel| match Sensing::usual(channel) {
        Sensing::Contact(_) if channel == Channel::Door => Input {
            channel,
            every_ms: 1_000,
            sensing: Sensing::Door(Door {
                debounce_ms: 10_000,
                alarm: Alarm::OnTrue,
                released_ms: 60_000,
                held_ms: 3_600_000,
            }),
        },
        Sensing::Contact(_) => Input {
            channel,
            every_ms: 1_000,
            sensing: Sensing::Contact(Contact { debounce_ms: 10_000, alarm: Alarm::OnTrue }),
        },
        Sensing::Motion(_) => Input {
            channel,
            every_ms: 1_000,
            sensing: Sensing::Motion(Motion { warm_up_ms: 600_000, hold_ms: 3_600_000, pulses: 16, within_ms: 60_000 }),
        },
        Sensing::Vibration(usual) => Input {
            channel,
            every_ms: 5,
            sensing: Sensing::Vibration(Vibration {
                window_ms: 10_000,
                cut: Some(Cut { within_ms: 120_000, ..Cut::default() }),
                ..usual
            }),
        },
        Sensing::Measure(_) if channel.name().starts_with("load") => {
            Input { channel, every_ms: 60_000, sensing: Sensing::Load(load) }
        }
        Sensing::Measure(_) => Input { channel, every_ms: 3_600_000, sensing: Sensing::Measure(report) },
        Sensing::Range(usual) => {
            Input { channel, every_ms: 60_000, sensing: Sensing::Range(Range { stale_ms: 14_400_000, ..usual }) }
        }
        Sensing::Badge(_) => Input {
            channel,
            every_ms: 0,
            sensing: Sensing::Badge(Badge { layout, answer_ms: 30_000, again_ms: 60_000 }),
        },
        sensing => Input { channel, every_ms: sensing.usual_every_ms(), sensing },
    });
    Draft { heartbeat_ms: 3_600_000, inputs: inputs.collect() }
}

#[test]
fn the_longest_settings_fit_and_come_back_equal() {
    let settings = longest().check().unwrap();
    let bytes = settings.to_bytes();
    assert_eq!((settings.inputs().len(), bytes.len() * 4 <= SETTINGS_BYTES * 3), (INPUTS, true), "{}", bytes.len());
    assert_eq!(Settings::from_bytes(&bytes), Ok(settings));
}

#[test]
fn bytes_of_another_format_cut_short_or_with_more_behind_are_no_settings() {
    let bytes = Draft::default().with(Channel::Pir).check().unwrap().to_bytes();
    let unreadable = Err(Fault { channel: None, what: Wrong::Unreadable });
    for cut in 0..bytes.len() {
        assert_eq!(Settings::from_bytes(&bytes[..cut]), unreadable, "{cut} bytes");
    }
    assert_eq!(Settings::from_bytes(&[&bytes[..], &[0]].concat()), unreadable);
    assert_eq!(Settings::from_bytes(&[&[FORMAT + 1], &bytes[1..]].concat()), unreadable);
}

#[test]
fn whatever_is_told_a_fault_says_which_channel_what_and_the_range() {
    let measure = |measure| Draft::default().with_sensing(Channel::Supply, Sensing::Measure(measure));
    let vibration = |vibration| Draft::default().with_sensing(Channel::Vibration, Sensing::Vibration(vibration));
    let load = |load| Draft::default().with_sensing(Channel::Load1, Sensing::Load(load));
    let range = |range| Draft::default().with_sensing(Channel::Range, Sensing::Range(range));
    let badge = |layout| {
        let badge = Sensing::Badge(Badge { layout, ..Badge::default() });
        Draft::default().with(Channel::Grant).with_sensing(Channel::Badge1, badge)
    };
    let mut twice = Draft::default().with(Channel::Pir);
    twice.inputs.push(twice.inputs[0]).unwrap();
    let short = Layout { bits: 25, ..Layout::H10301 };
    for (draft, says) in [
        (Draft { heartbeat_ms: 10, ..Draft::default() }, "`heartbeat_ms` must be 1000 to 3600000"),
        (Channel::ALL.into_iter().fold(Draft::default(), Draft::with), "a node has at most 16 channels"),
        (twice, "channel pir: is there twice"),
        (Draft::default().with_sensing(Channel::Door, Sensing::Tamper), "channel door: cannot be sensed so"),
        (
            measure(Measure { deadband: f32::NAN, ..Measure::default() }),
            "channel supply: `deadband` must be 0 to 1000000000",
        ),
        (
            measure(Measure { deadband: -1.0, ..Measure::default() }),
            "channel supply: `deadband` must be 0 to 1000000000",
        ),
        (
            measure(Measure { stale_ms: 1_000, ..Measure::default() }),
            "channel supply: `stale_ms` must be above `every_ms`, or the value would always be missing",
        ),
        (
            measure(Measure { lowest: 5.0, highest: 5.0, ..Measure::default() }),
            "channel supply: `lowest` must be below `highest`",
        ),
        (
            vibration(Vibration { high_hz: 101.0, ..Vibration::default() }),
            "channel vibration: `high_hz` must be 0.1 to 100",
        ),
        (
            vibration(Vibration { low_hz: 90.0, ..Vibration::default() }),
            "channel vibration: `low_hz` must be below `high_hz`",
        ),
        (
            vibration(Vibration { low_hz: 0.1, ..Vibration::default() }),
            "channel vibration: `low_hz` must be 0, or at least a thousandth of the sampling rate",
        ),
        (
            Draft::default()
                .with_sensing(Channel::Door, Sensing::Door(Door { debounce_ms: 20, ..Door::default() }))
                .with(Channel::Rex),
            "channel door: `debounce_ms` must not be below that of rex and grant",
        ),
        (load(Load { span: 0.0, ..Load::default() }), "channel load-1: `span` must not be 0"),
        (load(Load { median: 4, ..Load::default() }), "channel load-1: `median` must be odd"),
        (
            load(Load { temperature: Some(Channel::Supply), ..Load::default() }).with(Channel::Supply),
            "channel load-1: needs the channel that `temperature` names: temperature or air-temperature",
        ),
        (
            range(Range { near: Hysteresis { on: 2.0, off: 1.0 }, ..Range::default() }),
            "channel range: `near.on` must be below `near.off`, and that below `highest_m`",
        ),
        (badge(short), "channel badge-1: `layout`: a span or parity bit is beyond `bits`"),
        (Draft::default().with(Channel::Fence), "channel fence: needs channel vibration"),
        (
            Draft::default().with(Channel::Vibration).with(Channel::FenceCut),
            "channel fence-cut: needs channel vibration with `cut`",
        ),
        (Draft::default().with(Channel::Presence), "channel presence: needs channel range"),
        (
            Draft::default().with(Channel::Door).with(Channel::DoorHeld),
            "channel door-held: needs channel door, sensed as door",
        ),
        (
            Draft::default().with_sensing(Channel::Door, Sensing::Door(Door::default())).with(Channel::DoorForced),
            "channel door-forced: needs channel rex or grant: without one every opening would be forced",
        ),
        (
            Draft::default().with(Channel::Badge1),
            "channel badge-1: needs channel grant: a reader alone does not say who was let in",
        ),
    ] {
        assert_eq!(fault(draft), says);
    }
}

#[test]
fn what_a_site_engineer_writes_is_read_by_its_names_and_refused_in_words() {
    let text = r#"{"heartbeat_ms": 5000, "inputs": [
        {"channel": "load-1", "every_ms": 100, "sensing": {"load": {"zero": 84000, "span": 0.0004}}},
        {"channel": "tamper", "every_ms": 10, "sensing": "tamper"}]}"#;
    let settings: Settings = serde_json::from_str(text).unwrap();
    let load = Load { zero: 84_000.0, span: 0.0004, ..Load::default() };
    assert_eq!(settings.inputs()[0], Input { channel: Channel::Load1, every_ms: 100, sensing: Sensing::Load(load) });
    let why = serde_json::from_str::<Settings>(&text.replace("0.0004", "0")).unwrap_err();
    assert!(format!("{why}").contains("channel load-1: `span` must not be 0"), "{why}");
    assert!(
        serde_json::from_str::<Settings>(&text.replace("zero", "zeroes")).is_err(),
        "a misspelt field is no default"
    );
}

#[test]
fn what_is_usual_for_every_channel_is_valid_and_so_is_nothing() {
    assert_eq!(Draft::default().check(), Ok(Settings::default()));
    let (needs_door, needs_cut) = ([Channel::DoorForced, Channel::DoorHeld], Channel::FenceCut);
    let door = Sensing::Door(Door::default());
    let cut = Sensing::Vibration(Vibration { cut: Some(Cut::default()), ..Vibration::default() });
    for channel in Channel::ALL {
        let draft = match channel {
            Channel::Badge1 | Channel::Badge2 => Draft::default().with(Channel::Grant),
            Channel::Fence => Draft::default().with(Channel::Vibration),
            Channel::Presence => Draft::default().with(Channel::Range),
            _ if needs_door.contains(&channel) => Draft::default().with(Channel::Rex).with_sensing(Channel::Door, door),
            _ if channel == needs_cut => Draft::default().with_sensing(Channel::Vibration, cut),
            _ => Draft::default(),
        };
        draft.with(channel).check().unwrap();
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_settings_that_are_not_settings(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), at in 0usize..800, flip: u8) {
        let _ = Settings::from_bytes(&bytes);
        let mut hurt = longest().check().unwrap().to_bytes();
        let at = at % hurt.len();
        hurt[at] ^= flip;
        if let Ok(settings) = Settings::from_bytes(&hurt) {
            proptest::prop_assert_eq!(Settings::from_bytes(&settings.to_bytes()), Ok(settings));
        }
    }
}

#[test]
fn a_limit_is_an_upper_or_a_lower_one_and_between_its_ends_nothing_changes() {
    let hot = Hysteresis { on: 60.0, off: 55.0 };
    assert_eq!([59.9, 60.0].map(|value| hot.after(false, value)), [false, true]);
    assert_eq!([55.0, 54.9].map(|value| hot.after(true, value)), [true, false]);
    let near = Hysteresis { on: 2.0, off: 2.3 };
    assert_eq!([2.1, 2.0].map(|value| near.after(false, value)), [false, true]);
    assert_eq!([2.3, 2.4].map(|value| near.after(true, value)), [true, false]);
}

proptest::proptest! {
    #[test]
    fn a_value_that_stays_between_the_ends_never_changes_the_state(
        on in -1e3f32..1e3, off in -1e3f32..1e3, was_on: bool, shares in proptest::collection::vec(0.001f32..0.999, 1..50),
    ) {
        let limit = Hysteresis { on, off };
        proptest::prop_assume!((on - off).abs() > 1.0);
        let mut state = was_on;
        for share in shares {
            state = limit.after(state, on + (off - on) * share);
            proptest::prop_assert_eq!(state, was_on);
        }
    }
}
