//! Retention deletes: once a key is destroyed, no key that is left opens what it sealed, wherever a copy of it lies.

use super::*;
use crate::published::fictional;
use quaywatch_schemas::{
    FieldClass, Policy, Situation,
    policy::Retention,
    sealed::{Handle, Sealed},
    situation::{IdentityKind, Subject, SubjectIdentity},
};

const PLATES: [&str; 3] = ["44-KEEP-1", "55-KEEP-2", "66-KEEP-3"];
const BADGE: &str = "BADGE-4711";
const REPORT: &str = "a man with a ladder";
const BODY: &str = "the product names 44-KEEP-1";

const CASE: KeyId = KeyId(1 << 31 | 5);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn no_remaining_key_opens_what_retention_deleted_in_any_file_or_copy() {
    let [folder, copies] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut port = Port::open(folder.path());
    port.live_through_a_day();
    // One plate is held for a case, longer than anything is kept.
    let (case, until) = ("2026-118", WallTime(port.store.control.now().1.0 + 400 * 86_400 * 1_000_000_000));
    let (kind, subject) = (IdentityKind::Plate, "vehicle");
    let held = Held { case, situation: port.situation, subject, kind, until };
    port.state.hold(&held, CASE, PLATES[2]).unwrap();
    let before = Keys::read(folder.path()).unwrap().all();
    copy_without_keys(folder.path(), copies.path());
    // The search finds everything as long as the keys are there: it can fail.
    let found = Search::with(&before).everywhere(&[folder.path(), copies.path()]);
    for secret in PLATES.iter().chain(&[BADGE, REPORT, BODY]) {
        assert!(found.contains(*secret), "{secret} is kept, sealed: {found:?}");
    }
    assert!(Search::with(&[]).everywhere(&[folder.path(), copies.path()]).is_empty(), "nothing is kept in clear");

    // Five weeks and a day, day by day; the quasi-identities go a week before the rest.
    for day in 1..=29 {
        port.next_day(day);
    }
    port.next_day(30);
    let keys = Keys::read(folder.path()).unwrap().all();
    let left = Search::with(&keys).everywhere(&[folder.path(), copies.path()]);
    assert_eq!(left, [BADGE, REPORT, PLATES[2]].map(str::to_owned).into(), "after four weeks");
    for day in 31..=37 {
        port.next_day(day);
    }
    // What is kept on and what came since is there; of the first day's values there is none.
    let kept = port.state.situation(&port.situation).unwrap().expect("what happened is kept, without who it was");
    assert_eq!(kept.zone, fictional::tailgating().zone);
    assert!(kept.subjects[0].identities.iter().all(|identity| identity.value.as_clear().is_none()));
    assert!(port.state.checkpoint().unwrap().is_some(), "a running engine has its memory");
    assert_eq!(port.store.outbox.pending(&port.desk, Lane::Live, 0, 9).unwrap(), []);
    assert_eq!(port.store.outbox.accounts(&port.desk).never[0].why, "deleted");
    assert_eq!(port.state.held(&port.situation, subject, kind).unwrap().as_deref(), Some(PLATES[2]));
    let keys = Keys::read(folder.path()).unwrap().all();
    let left = Search::with(&keys).everywhere(&[folder.path(), copies.path()]);
    assert_eq!(left, [PLATES[2].to_owned()].into(), "what is held, and nothing else");
    assert_eq!(port.state.release(case).unwrap(), 1);
    assert_eq!(port.state.held(&port.situation, subject, kind).unwrap(), None);
    let destroyed = port.destroyed.clone();
    assert!(destroyed.len() >= 3, "each was recorded: {destroyed:?}");
    let Port { store, state, .. } = port;
    store.stop();
    drop(state);
    let keys = Keys::read(folder.path()).unwrap().all();
    assert!(keys.len() > 4 + 90, "a key a class and day");
    let left = Search::with(&keys).everywhere(&[folder.path(), copies.path()]);
    assert_eq!(left, BTreeSet::new(), "with {} keys that are left", keys.len());
    // The store opens, and goes on where it was.
    let store = Store::open(folder.path());
    assert!(store.state.checkpoint().unwrap().is_some());
    store.stop();
}

/// A gateway without its engine: what the pipeline does to the store is done here.
struct Port {
    store: Store,
    state: State,
    desk: RecipientId,
    situation: SituationId,
    position: Position,
    destroyed: Vec<u32>,
}

impl Port {
    fn open(folder: &Path) -> Self {
        let store = Store::open(folder);
        let state = store.state.clone();
        let desk = RecipientId::new("gate-desk").unwrap();
        let situation = fictional::tailgating().id;
        Self { store, state, desk, situation, position: Position(0), destroyed: Vec::new() }
    }

    fn live_through_a_day(&mut self) {
        let sensor = |name: &str| SensorId::new(name).unwrap();
        let plate = Reading::Plate(Plate {
            text: Private::clear(PLATES[0]),
            confidence: None,
            candidates: vec![Candidate { text: Private::clear(PLATES[1]), confidence: None }],
            region: None,
        });
        let credential = Reading::Credential(Credential {
            holder: Identity { handle: None, value: Private::clear(BADGE) },
            decision: AccessDecision::Granted,
        });
        let policy = Policy { retention: Retention::default(), ..Policy::default() };
        let letter = DeadLetter::new(LineId::new("hooks").unwrap(), None, "not JSON", REPORT.as_bytes());
        self.say(vec![
            Record::Control(Control::PolicyApplied { policy: Box::new(policy), digest: [0; 32] }),
            Record::Observation(Observation::live(sensor("rear"), plate)),
            Record::Observation(Observation::live(sensor("reader"), credential)),
            Record::DeadLetter(letter),
        ]);
        let identity = SubjectIdentity {
            kind: IdentityKind::Plate,
            value: Private::clear(PLATES[2]),
            probability: 0.9,
            alternatives: vec![Private::clear(PLATES[1])],
            read_by: Vec::new(),
        };
        let subject = Subject { role: "vehicle".into(), identities: vec![identity] };
        let situation = Situation { subjects: vec![subject], ..fictional::tailgating() };
        self.store
            .outbox
            .append(vec![NewEntry {
                situation: situation.id,
                body: BODY.as_bytes().to_vec(),
                ..entry(&self.desk, 1, Class::Alarm, 1)
            }])
            .unwrap();
        let surer = Situation { revision: 1, log_odds: 9.0, ..situation.clone() };
        self.keep(vec![surer, Situation { revision: 2, log_odds: 1.0, ..situation }], PLATES[0]);
    }

    /// Midnight passes, something happens, the engine's memory is kept.
    fn next_day(&mut self, day: u64) {
        for _ in 0..2 {
            // A look comes with every batch that is later than the last look by ten seconds.
            self.store.control.let_pass(DAY / 2);
            self.say(vec![contact("loop-a", day.is_multiple_of(2))]);
            self.keep(Vec::new(), "nothing about anybody");
        }
    }

    fn say(&mut self, records: Vec<Record>) {
        self.position = self.store.store(records, None).last;
        while self.store.records.try_recv().is_ok_and(|next| {
            if let Next::Records(records) = next {
                self.destroyed.extend(records.iter().filter_map(|record| match record.record {
                    Record::Control(Control::KeyDestroyed { key }) => Some(key),
                    _ => None,
                }));
            }
            true
        }) {}
    }

    fn keep(&mut self, situations: Vec<Situation>, engine: &str) {
        let checkpoint = Checkpoint { position: self.position, engine: engine.as_bytes().to_vec(), outputs: 1 };
        let told = vec![((self.desk.clone(), self.situation), engine.as_bytes().to_vec())];
        let changes = Changes { checkpoint: Some(checkpoint), situations, told, ..Changes::default() };
        self.state.apply(changes).unwrap();
        self.store.control.applied(self.position);
    }
}

/// Looks for secrets in files: as bytes, and in everything that a key opens, however deep it is sealed.
struct Search<'a> {
    keys: &'a [[u8; 32]],
    /// By their first byte.
    secrets: BTreeMap<u8, Vec<(Vec<u8>, String)>>,
}

impl<'a> Search<'a> {
    fn with(keys: &'a [[u8; 32]]) -> Self {
        let secrets = PLATES.iter().chain(&[BADGE, REPORT, BODY]);
        let secrets = secrets.map(|secret| (secret.as_bytes().to_vec(), (*secret).to_owned()));
        // Badge numbers are few: whoever has a key tries them all, and a handle at rest is as good as the badge.
        let handles = keys.iter().map(|key| (Handle::of(BADGE, key).0.to_vec(), BADGE.to_owned()));
        let mut by_first: BTreeMap<u8, Vec<_>> = BTreeMap::new();
        secrets.chain(handles).for_each(|secret| by_first.entry(secret.0[0]).or_default().push(secret));
        Self { keys, secrets: by_first }
    }

    fn everywhere(&self, folders: &[&Path]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).collect();
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => self.within(&fs::read(&path).unwrap(), &mut found),
                }
            }
        }
        found
    }

    fn within(&self, bytes: &[u8], found: &mut BTreeSet<String>) {
        // Space that was set aside and never written is zeros.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut sealed_until = 0;
        for at in 0..end {
            let here = &bytes[at..end];
            let secrets = self.secrets.get(&here[0]).into_iter().flatten();
            found.extend(secrets.filter(|(secret, _)| here.starts_with(secret)).map(|(_, name)| name.clone()));
            // Within an envelope that opened are no others but those found in what it held.
            let Some((sealed, length)) = envelope_at(&bytes[at..]).filter(|_| at >= sealed_until) else { continue };
            if let Some(clear) = self.keys.iter().find_map(|key| sealed.open(key).ok()) {
                self.within(&clear, found);
                sealed_until = at + length;
            }
        }
    }
}

/// An envelope that may begin here (a class, a key this store can have had, at least a tag), and how long it is. Random
/// bytes look like one now and then; what this store seals of persons is short, so long ones are not tried with every key.
fn envelope_at(bytes: &[u8]) -> Option<(Sealed, usize)> {
    const LONGEST: usize = 1024;
    let class = *bytes.first()?;
    if !(1..=4).contains(&class) || bytes.get(1).is_none_or(|key| *key == 0) {
        return None;
    }
    let (sealed, rest) = postcard::take_from_bytes::<Sealed>(bytes).ok()?;
    let may_have_been = sealed.key.0 < 1000 || sealed.key == CASE;
    let length = (16..=if class == FieldClass::Operational as u8 { usize::MAX } else { LONGEST })
        .contains(&sealed.ciphertext.len());
    (may_have_been && length).then_some((sealed, bytes.len() - rest.len()))
}

fn copy_without_keys(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() {
            true => {
                fs::create_dir(to.join(&name)).unwrap();
                copy_without_keys(&path, &to.join(&name));
            }
            false if name == "keys" || name.starts_with("wrapping") => {}
            false => drop(fs::copy(&path, to.join(&name)).unwrap()),
        }
    }
}
