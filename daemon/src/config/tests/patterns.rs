//! Patterns: good ones and what they become, bad ones and where it says so.

use super::{
    SITE,
    faults::{Case, each_is_said_at_its_place, placed},
    site,
};
use quaywatch_schemas::{
    PatternId,
    site::{
        Pattern, Role,
        patterns::{Key, Says, Shape, Skip, Source, Span},
    },
};
use std::time::Duration;

const SENSORS: &str = r#"
[sensors]
loop  = { zone = "lane-3", role = "loop.exit", line = "plc", discrete = 1 }
arm   = { zone = "lane-3", role = "barrier.open", line = "plc", discrete = 2, domain = "arm" }
grant = { zone = "lane-3", role = "grant", line = "plc", holding = 10, domain = "access" }
front = { zone = "lane-3", role = "plate.front", line = "broker", frigate = "front" }
scale = { zone = "lane-3", role = "weight.gross", line = "plc", holding = 20, type = "u16", unit = "kg" }
pir   = { zone = "quay-1", role = "presence.pir", line = "plc", discrete = 5 }
dome  = { zone = "quay-1", role = "presence.camera", line = "broker", frigate = "dome" }
[rules.passage]
"#;

const EMIT: &str = "emit = { headline = \"it happened\", assessment = \"It is what was looked for.\", prior = 0.2 }\n";

fn pattern(text: &str) -> Pattern {
    let site =
        site(&format!("{SITE}{SENSORS}[patterns.x]\n{text}{EMIT}")).unwrap_or_else(|problems| panic!("{problems}"));
    site.site.patterns.get(&PatternId::new("x").unwrap()).cloned().expect("the pattern")
}

#[test]
fn a_pattern_is_read_into_steps_with_their_times_and_usual_words() {
    let read = pattern(
        "key = \"zone\"\nskip = \"to_next\"\nmax_partial = 8\nseq = [\n  { role = \"barrier.open\", as = \"up\" },\n  \
         { role = \"grant\", expect = true },\n  { sensor = \"loop\", is = \"off\", within = \"30 s\", count = \"2..3\", as = \"down\" },\n  \
         { role = \"barrier.open\", is = \"off\", absent = true, within = \"5 s\" },\n]\n\
         expect = [{ role = \"plate.front\", before = \"up\", within = \"10 s\", seen = 0.5 }]\n",
    );
    assert_eq!((read.key, read.skip, read.max_partial, read.shape), (Key::Zone, Skip::ToNext, 8, Shape::Seq));
    assert_eq!(read.within, Duration::from_secs(30), "the steps' own times bound it");
    let says: Vec<Says> = read.steps.iter().map(|step| step.says).collect();
    assert_eq!(says, [Says::On, Says::Off, Says::Off]);
    assert_eq!((read.steps[1].least, read.steps[1].most), (2, Some(3)));
    assert!(read.steps[2].absent);
    let spans: Vec<Span> = read.expect.iter().map(|expect| expect.span).collect();
    assert_eq!(spans, [Span::Before(0, Duration::from_secs(10)), Span::Between(0, 1)], "a step that may be missing");
    assert_eq!(read.expect[1].on, Source::Role { role: Role::Grant, zone: None });
}

#[test]
fn values_come_in_base_units_and_the_other_shapes_say_how_many() {
    let read = pattern("any = [{ role = \"weight.gross\", above = \"30 t\", clear = \"29 t\" }]\nwithin = \"1 s\"\n");
    assert_eq!(read.steps[0].says, Says::Above { limit: 30_000.0, clear: 29_000.0 });
    assert_eq!(read.shape, Shape::Of { least: 1, independent: false });
    let read = pattern("all = [{ sensor = \"pir\" }, { sensor = \"dome\" }]\nwithin = \"20 s\"\n");
    assert_eq!(read.shape, Shape::Of { least: 2, independent: false });
    assert_eq!(read.steps[1].says, Says::Seen(None));
    let read = pattern("seq = [{ situation = \"gate.*\" }]\n");
    assert_eq!(read.steps[0].says, Says::Said { least: 0.5 });
}

#[test]
fn what_a_pattern_cannot_do_is_said_at_its_line_and_column() {
    let seq = |steps: &str| format!("seq = [\n{steps}\n]\nwithin = \"60 s\"\n{EMIT}");
    let up = "  { role = \"barrier.open\", as = \"up\" },\n";
    let cases: Vec<(String, &str, &str)> = vec![
        ("[patterns.▸x]\n".to_owned() + "within = \"60 s\"\n" + EMIT, "does not say what to look for", "seq"),
        (
            "[patterns.▸x]\n".to_owned()
                + &seq(up).replace("within = \"60 s\"\n", "").replace("]\n", "  { role = \"loop.exit\" },\n]\n"),
            "is not bounded in time",
            "within =",
        ),
        ("[patterns.x]\n".to_owned() + &seq("  { role = ▸\"loop.exot\" },"), "no role \"loop.exot\"", "loop.exit"),
        (
            "[patterns.x]\n".to_owned() + &seq("  { sensor = ▸\"lop\" },"),
            "there is no sensor `lop`",
            "did you mean `loop`?",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"loop.exit\", zone = ▸\"lane-4\" },"),
            "there is no zone `lane-4`",
            "lane-3",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { situation = ▸\"gate.passag\" },"),
            "no situation is of kind",
            "did you mean `gate.passage`?",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { situation = ▸\"gate.tailgating\" },"),
            "is not run in this site",
            "[rules.tailgating]",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { situation = ▸\"site.x\" },"),
            "waits for what it says itself",
            "do not wait for it",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  ▸{ as = \"up\" },"),
            "does not say who says it",
            "role, sensor, situation and track",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"loop.exit\", is = ▸\"read\" },"),
            "this can never be true",
            "never says that",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { sensor = \"loop\", is = ▸\"read\" },"),
            "`loop` is a loop.exit",
            "another sensor",
        ),
        (
            "[patterns.x]\n".to_owned()
                + &seq("  { role = \"loop.exit\", absent = ▸true },\n  { role = \"barrier.open\" },"),
            "lies between nothing",
            "before it",
        ),
        (
            "[patterns.x]\n".to_owned()
                + &seq("  { role = \"barrier.open\" },\n  ▸{ role = \"loop.exit\", absent = true },"),
            "never decided",
            "within = \"15 s\"",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"loop.exit\", count = ▸\"5..2\" },"),
            "can never be counted",
            "2..5",
        ),
        (
            "[patterns.x]\n▸".to_owned() + &seq("  { role = \"loop.exit\", count = 65 },"),
            "65 states",
            "64 are the most",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"weight.gross\", above = ▸\"30 kN\" },"),
            "this is a force, and a mass",
            "its unit",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"weight.gross\", above = ▸30 },"),
            "30 has no unit",
            "in quotes",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"weight.gross\", above = \"30 t\", clear = ▸\"31 t\" },"),
            "never ends",
            "not above the limit",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"loop.exit\", within = ▸\"2 min\" },\n"),
            "longer than the whole pattern",
            "within",
        ),
        (
            "[patterns.x]\n▸".to_owned() + &seq("  { role = \"presence.pir\" },\n  { role = \"loop.exit\" },"),
            "no zone has a sensor",
            "one zone has",
        ),
        (
            "[patterns.x]\nzones = [\"quay-1\"]\n".to_owned()
                + &seq("  { role = \"presence.pir\" },\n  { role = ▸\"loop.exit\" },"),
            "can never be known in `quay-1`",
            "name a sensor",
        ),
        (
            "[patterns.x]\n".to_owned()
                + &seq(up)
                + "expect = [{ role = \"grant\", after = ▸\"upp\", within = \"5 s\" }]\n",
            "no step is called `upp`",
            "did you mean `up`?",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up) + "expect = [▸{ role = \"grant\", after = \"up\" }]\n",
            "no bounded time",
            "within",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up) + "guard = '''\nsteps.up.seconds <\n   ▸secnds'''\n",
            "nothing called \"secnds\"",
            "seconds",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up) + "guard = 'steps.▸upp.count > 1'\n",
            "no step that is seen is called `upp`",
            "did you mean `up`?",
        ),
        ("[patterns.x]\n".to_owned() + &seq(up) + "guard = ▸'seconds + 1 > 3.0'\n", "cannot be told of a match", "1.0"),
        (
            "[patterns.x]\nkey = \"plate\"\n".to_owned() + &seq("  ▸{ role = \"loop.exit\" },"),
            "does not tell which plate",
            "plates only",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up).replace("prior = 0.2", "prior = 0.001, min_p = ▸0.99"),
            "this is never said in `lane-3`",
            "lower `min_p`",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up).replace("\"it happened\"", "▸\"an intruder\""),
            "says \"intruder\" of somebody",
            "accuses nobody",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up) + "▸any = [{ role = \"loop.exit\" }]\n",
            "another way for steps",
            "one of them",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq("  { role = \"loop.exit\", ▸withn = \"5 s\" },"),
            "has no key `withn`",
            "within",
        ),
        (
            "[patterns.x]\n".to_owned() + &seq(up).replace("within = \"60 s\"", "within = ▸\"25 h\""),
            "out of range",
            "24 h",
        ),
        ("[patterns.▸X]\n".to_owned() + &seq(up), "cannot be called that", "lower-case"),
    ];
    let cases: Vec<Case> = cases.into_iter().map(|(fault, what, help)| (&*fault.leak(), what, help)).collect();
    let said = |text: &str| site(text).err().map(|problems| problems.0).unwrap_or_default();
    each_is_said_at_its_place(&cases, said, |fault| placed(&format!("{SITE}{SENSORS}{fault}")));
}

#[test]
fn the_readmes_pattern_is_in_order() {
    let readme = include_str!("../../../../README.md");
    let begin = readme.find("[patterns.follower]").expect("a pattern in the README");
    let pattern = readme[begin..].split("```").next().expect("its end");
    let read = site(&format!("{SITE}{SENSORS}{pattern}")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(read.site.patterns.len(), 1);
}

#[test]
fn what_is_followed_needs_a_place_to_be_in() {
    let placed = SITE.replace("closed = \"always\"", "closed = \"always\"\noutline = [[0, 0], [50, 0], [50, 20]]");
    let text = |zone: &str| {
        format!(
            "{SENSORS}[patterns.x]\nzones = [\"{zone}\"]\nkey = \"object\"\n\
             seq = [{{ track = \"person\", near_zone = \"quay-1\", nearer = \"10 m\", lasts = \"30 s\" }}]\nwithin = \"1 min\"\n{EMIT}"
        )
    };
    let read = site(&format!("{placed}{}", text("quay-1"))).unwrap_or_else(|problems| panic!("{problems}"));
    let step = &read.site.patterns[&PatternId::new("x").unwrap()].steps[0];
    assert_eq!(step.says, Says::Near(10.0));
    let problems = site(&format!("{placed}{}", text("lane-3"))).expect_err("no outline").0;
    assert!(problems[0].contains("nothing is followed in `lane-3`"), "{}", problems[0]);
    let problems = site(&format!("{SITE}{}", text("quay-1"))).expect_err("no outline").0;
    assert!(problems[0].contains("nobody knows where `quay-1` is"), "{}", problems[0]);
}

#[test]
fn two_patterns_that_wait_for_each_other_are_refused() {
    let waits = |name: &str, other: &str| {
        format!("[patterns.{name}]\nseq = [{{ situation = \"site.{other}\" }}]\nwithin = \"5 s\"\n{EMIT}")
    };
    let one_way = format!("[patterns.a]\nseq = [{{ role = \"loop.exit\" }}]\nwithin = \"5 s\"\n{EMIT}");
    assert!(site(&format!("{SITE}{SENSORS}{one_way}{}", waits("b", "a"))).is_ok());
    let problems = site(&format!("{SITE}{SENSORS}{}{}", waits("a", "b"), waits("b", "a"))).expect_err("a circle").0;
    assert_eq!(problems.len(), 2, "{}", problems.join("\n"));
    assert!(problems[0].contains("`a` waits for what it says itself"), "{}", problems[0]);
}
