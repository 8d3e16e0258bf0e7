//! What was withheld is nowhere: a situation in which every value says which class it is of and which sensor it comes from,
//! random policies, and a search through every byte of what leaves.

use super::*;
use quaywatch_schemas::policy::ScopedMarking;

const SENSORS: [&str; 4] = ["loop-b", "arm", "rear", "front"];
const CLASSES: [FieldClass; 6] = [
    FieldClass::Operational,
    FieldClass::QuasiIdentity,
    FieldClass::Identity,
    FieldClass::Source,
    FieldClass::Method,
    FieldClass::Media,
];
const TREATMENTS: [Treatment; 4] = [Treatment::Drop, Treatment::Mask, Treatment::Pseudonym, Treatment::Show];

/// What a mask hides of a value of a class.
fn secret(class: FieldClass) -> String {
    format!("Secret{class:?}")
}

/// A phrase with a value and a detail of every class in it.
fn phrase(words: impl Into<String>) -> Phrase {
    CLASSES.iter().fold(Phrase::words(words.into()), |phrase, class| {
        phrase
            .value(*class, Private::clear(format!("AB-{}-99", secret(*class))))
            .detail(*class, Phrase::words(format!("DetailFor{class:?}")))
    })
}

/// A situation in which what comes of a sensor is named by it; `variant` changes only what comes of `varied` sensors.
fn canary(varied: &[&str], variant: &str) -> Situation {
    let of = |sensor: &str| match varied.contains(&sensor) {
        true => format!("{sensor}{variant}"),
        false => sensor.to_owned(),
    };
    let mut situation = tailgating("unused", "unused");
    for piece in &mut situation.evidence {
        let sensor = piece.sensor.to_string();
        piece.said = Phrase::words(format!("SaidBy({})", of(&sensor)));
        if varied.contains(&sensor.as_str()) {
            piece.weight += variant.len() as f64 / 10.0;
        }
    }
    situation.groups = capped_groups(&situation.evidence);
    situation.log_odds = score(situation.prior, &situation.evidence);
    situation.probability = situation.calibration.probability(situation.log_odds);
    situation.headline = phrase("headline ");
    situation.assessment = phrase("AssessmentWords ");
    situation.facts = vec![phrase("FactWords ")];
    situation.alternatives = vec![Alternative { text: phrase("AlternativeWords "), probability: 0.01 }];
    situation.actions = CLASSES
        .iter()
        .map(|class| Action {
            needs: *class,
            brief: phrase(format!("BriefFor{class:?} ")),
            text: phrase(format!("ActionFor{class:?} ")),
        })
        .chain([Action {
            needs: FieldClass::Public,
            brief: Phrase::words("BriefForAll"),
            text: Phrase::words("ActionForAll"),
        }])
        .collect();
    situation.subjects = SENSORS
        .iter()
        .map(|sensor| Subject {
            role: "vehicle".into(),
            identities: [IdentityKind::Plate, IdentityKind::Container, IdentityKind::Tag, IdentityKind::Handle]
                .map(|kind| SubjectIdentity {
                    kind,
                    value: Private::clear(format!("AB-{:?}ReadBy({})-99", kind, of(sensor))),
                    probability: 0.5,
                    alternatives: vec![Private::clear(format!("AB-OtherReadBy({})-99", of(sensor)))],
                    read_by: vec![SensorId::new(sensor).unwrap()],
                })
                .to_vec(),
        })
        .collect();
    situation.missing = SENSORS
        .iter()
        .map(|sensor| Missing { sensor: SensorId::new(sensor).unwrap(), why: NoData::Silent, since: None })
        .collect();
    situation.media = SENSORS
        .iter()
        .map(|sensor| {
            let media = Media { camera: format!("CameraOf({})", of(sensor)), from: FROM, to: FROM };
            (SensorId::new(sensor).unwrap(), media)
        })
        .collect();
    situation
}

/// A recipient's treatments, clearance and purposes, and what each sensor is marked with.
#[derive(Debug, Clone)]
struct Rights {
    treatments: Vec<Treatment>,
    clearance: Tlp,
    purposes: Vec<Purpose>,
    marked: Vec<(bool, Tlp, Purpose)>,
}

impl Rights {
    fn policy(&self) -> Policy {
        let mut policy = policy();
        let desk = policy.recipients.get_mut("gate-desk").unwrap();
        desk.fields = CLASSES.iter().copied().zip(self.treatments.iter().copied()).collect();
        (desk.clearance, desk.purposes) = (self.clearance, self.purposes.clone());
        policy.markings = SENSORS
            .iter()
            .zip(&self.marked)
            .map(|(sensor, (released, tlp, purpose))| ScopedMarking {
                sensors: vec![SensorId::new(sensor).unwrap()],
                zones: vec![],
                marking: Marking {
                    tlp: *tlp,
                    purpose: purpose.clone(),
                    releasable_to: if *released { marking().releasable_to } else { vec![] },
                    ..marking()
                },
            })
            .collect();
        policy
    }

    fn treatment(&self, class: FieldClass) -> Treatment {
        CLASSES.iter().position(|known| *known == class).map_or(Treatment::Show, |index| self.treatments[index])
    }

    /// Sensors of which nothing may be known under any purpose.
    fn withheld(&self) -> Vec<&'static str> {
        let may = |(released, tlp, purpose): &(bool, Tlp, Purpose)| {
            *released && *tlp <= self.clearance && self.purposes.contains(purpose)
        };
        SENSORS.iter().zip(&self.marked).filter(|(_, marked)| !may(marked)).map(|(sensor, _)| *sensor).collect()
    }
}

fn rights() -> impl Strategy<Value = Rights> {
    let tlp = || proptest::sample::select(vec![Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red]);
    let purposes = ["port-facility-security", "customs-control"].map(|name| Purpose::new(name).unwrap()).to_vec();
    let purpose = proptest::sample::select(purposes.clone());
    let marked = (proptest::bool::weighted(0.8), tlp(), purpose);
    (
        proptest::collection::vec(proptest::sample::select(TREATMENTS.to_vec()), CLASSES.len()),
        tlp(),
        proptest::sample::subsequence(purposes, 0..=2),
        proptest::collection::vec(marked, SENSORS.len()),
    )
        .prop_map(|(treatments, clearance, purposes, marked)| Rights { treatments, clearance, purposes, marked })
}

/// Everything that would leave: the whole event, envelope included.
fn leaves(situation: &Situation, policy: &Policy) -> Option<String> {
    match decided("gate-desk", situation, policy, None) {
        Decision::Release(release) => {
            let recipient = RecipientId::new("gate-desk").unwrap();
            let event = envelope(&release, ("NLRTM", &site().id, &recipient), "3f", 1);
            Some(serde_json::to_string(&event).unwrap())
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_withheld_is_in_no_byte(rights in rights()) {
        let policy = rights.policy();
        let Some(text) = leaves(&canary(&[], ""), &policy) else { return Ok(()) };
        let mut hidden: Vec<String> = Vec::new();
        for class in CLASSES {
            let treatment = rights.treatment(class);
            if treatment != Treatment::Show || class == FieldClass::Identity {
                hidden.push(secret(class));
            }
            if treatment != Treatment::Show {
                hidden.extend([format!("DetailFor{class:?}"), format!("ActionFor{class:?}"), format!("BriefFor{class:?}")]);
            }
        }
        if rights.treatment(FieldClass::Operational) != Treatment::Show {
            hidden.extend(["FactWords", "AssessmentWords", "ActionForAll", "BriefForAll", "missing"].map(String::from));
        }
        if rights.treatment(FieldClass::Method) != Treatment::Show {
            hidden.extend(
                ["SaidBy", "AlternativeWords", "probability", "prior", "weight", "gate.tailgating@", "9b1e", "switch-3",
                 "plate_confidence", "grading"].map(String::from),
            );
        }
        if rights.treatment(FieldClass::Media) != Treatment::Show {
            hidden.extend(["CameraOf", "vms.acme.lan"].map(String::from));
        }
        if rights.treatment(FieldClass::QuasiIdentity) != Treatment::Show {
            hidden.extend(["PlateReadBy", "ContainerReadBy", "TagReadBy", "OtherReadBy"].map(String::from));
        }
        hidden.push("HandleReadBy".into());
        for sensor in rights.withheld() {
            hidden.extend([format!("By({sensor})"), format!("Of({sensor})"), format!("\"sensor\":\"{sensor}\"")]);
        }
        // Sentences about all of it are only for those who may have all of it, and so is every value in a sentence.
        if !rights.withheld().is_empty() {
            hidden.extend(["FactWords", "AlternativeWords", "DetailFor"].map(String::from));
            hidden.extend(CLASSES.map(secret));
        }
        for hidden in hidden {
            prop_assert!(!text.contains(&hidden), "{} in {}", hidden, text);
        }
    }

    /// Change everything that comes of withheld sensors, its weight too, and not one byte changes.
    #[test]
    fn what_is_withheld_changes_no_byte(rights in rights(), variant in "[a-z]{1,9}") {
        let policy = rights.policy();
        let withheld = rights.withheld();
        let as_it_is = leaves(&canary(&[], ""), &policy);
        let otherwise = leaves(&canary(&withheld, &variant), &policy);
        prop_assert_eq!(as_it_is, otherwise);
    }

    /// Why something is not shown says nothing of what is not shown.
    #[test]
    fn why_it_is_withheld_reveals_nothing(rights in rights(), variant in "[a-z]{1,9}") {
        let policy = rights.policy();
        let said = |situation: &Situation| {
            let (site, recipient) = (site(), RecipientId::new("gate-desk").unwrap());
            let context =
                Context { policy: &policy, site: &site, told: None, others_told: &[], reference_key: &KEY, late: false, now: FROM };
            why(&recipient, situation, &context).to_string()
        };
        let (as_it_is, otherwise) = (said(&canary(&[], "")), said(&canary(&rights.withheld(), &variant)));
        prop_assert_eq!(&as_it_is, &otherwise);
        for hidden in SENSORS.into_iter().map(str::to_owned).chain(CLASSES.map(secret)) {
            prop_assert!(!as_it_is.contains(&hidden), "{} in {}", hidden, as_it_is);
        }
    }

    /// What is said to be told is told, and nothing else is.
    #[test]
    fn why_and_what_agree(rights in rights(), at_once in proptest::bool::ANY) {
        let policy = rights.policy();
        let situation = match at_once {
            true => Situation { phase: Phase::Closed, revision: 1, ..canary(&[], "") },
            false => canary(&[], ""),
        };
        let (site, recipient) = (site(), RecipientId::new("gate-desk").unwrap());
        let context = Context {
            policy: &policy,
            site: &site,
            told: None,
            others_told: &[],
            reference_key: &KEY,
            late: false,
            now: FROM,
        };
        let told = match decide(&recipient, &situation, &context) {
            Decision::Release(_) => Ok(()),
            Decision::Withhold(why) => Err(why),
            Decision::Unchanged => unreachable!("it was never told"),
        };
        prop_assert_eq!(why(&recipient, &situation, &context).told, told);
    }

    /// Two pieces of information for different purposes are never in one product.
    #[test]
    fn one_product_has_one_purpose(rights in rights()) {
        let policy = rights.policy();
        if let Decision::Release(release) = decided("gate-desk", &canary(&[], ""), &policy, None) {
            let named = release.product.missing.iter().map(|missing| missing.sensor.as_str());
            for sensor in named.chain(release.product.evidence.iter().map(|piece| piece.sensor.as_str())) {
                let marked = SENSORS.iter().zip(&rights.marked).find(|(known, _)| **known == sensor).unwrap().1;
                prop_assert_eq!(marked.2.as_str(), &release.product.handling.purpose);
                prop_assert!(marked.1 <= release.tlp);
            }
        }
    }
}
