//! The explanation in the README is what a reader is shown, word for word.

use crate::{engine, products, script::Scenario};
use quaywatch::{commands::explain::Page, ledger::Places};
use quaywatch_schemas::{Control, Record};
use std::{fs, path::Path};

const HEADING: &str = "## Why it was said\n";

#[test]
fn the_explanation_in_the_readme_is_the_one_that_is_printed() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let story = tests.join("scenarios/tailgating/alarm-second-truck-on-one-grant.txt");
    let scenario = Scenario::parse(&fs::read_to_string(story).unwrap(), "tailgating").unwrap();
    let site = scenario.records.iter().find_map(|record| match &record.record {
        Record::Control(Control::SiteApplied { site, .. }) => Some(site),
        _ => None,
    });
    let site = site.unwrap();
    let zones = site.zones.iter().map(|(id, zone)| (id.clone(), zone.name.clone())).collect();
    let places = Places { timezone: site.timezone.clone(), zones };
    // What the police were told of the revision with both plates.
    let told = products::disseminate(&scenario);
    let situations = engine::play(&scenario);
    let reference = &told["port-police"][1].data.reference;
    let page =
        Page { reference, latest: &situations[1], surest: None, places: &places, deleted: &|_| None }.to_string();

    let path = tests.join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, section) = readme.split_once(HEADING).expect("the README has the section");
    let (said, block) = section.split_once("```\n").expect("and a block in it");
    let (block, after) = block.split_once("```\n").expect("that ends");
    if std::env::var_os("SCENARIOS").is_some_and(|wish| wish == "write") {
        fs::write(&path, format!("{before}{HEADING}{said}```\n{page}```\n{after}")).unwrap();
    } else {
        assert_eq!(block, page, "`SCENARIOS=write` writes it");
    }
}
