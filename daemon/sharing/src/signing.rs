//! Signatures of persons: on the sharing file, and on acts that one person alone may not do.
//!
//! A signature stands beside what it signs, one line for each person: `NAME ed25519 HEX`. It covers what kind of text is
//! signed and the text's every byte (Ed25519, RFC 8032, verified strictly: no weak keys, one form of each signature). Two
//! signatures are two *people*, not two logins: which key is whose is what the sharing file in force says, so a file cannot
//! name the judges of its own case.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use quaywatch_schemas::{
    PersonId, Policy,
    policy::{Person, PersonRole, PublicKey},
};
use std::{collections::BTreeMap, fmt};

/// What kind of text is signed: a signature on one kind is none on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signable {
    /// The security officer's file.
    SharingFile,
    /// Something that two persons ask of a gateway.
    Act,
    /// How far a gateway's audit journal has come; the gateway itself signs.
    AuditCheckpoint,
}

/// One person's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who signed, as the sharing file names them.
    pub by: PersonId,
    bytes: [u8; 64],
}

/// Lines that are no signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSignature {
    /// Which line, from 1.
    pub line: usize,
}

/// Why a sharing file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// What is in force is signed; this is not.
    Unsigned,
    /// Fewer than two persons whose signatures count, and why those that are there do not.
    TooFew { counted: Vec<PersonId>, others: Vec<String> },
    /// Two signed, and none of them answers for the port facility's plan.
    NoPfso,
    /// It names nobody who may sign the next one.
    NobodyNamed,
    /// It is older than, or another of the same number as, the one in force.
    Old { issue: u32, in_force: u32 },
}

/// The most signatures that are looked at.
const MOST_SIGNATURES: usize = 16;

impl Signature {
    /// Signs a text as somebody.
    pub fn sign(kind: Signable, text: &[u8], by: PersonId, secret: &[u8; 32]) -> Self {
        Self { by, bytes: SigningKey::from_bytes(secret).sign(&message(kind, text)).to_bytes() }
    }

    /// Reads the file of signatures: one a line; empty lines and `#` lines say nothing. At most 16 are read.
    pub fn read_all(text: &str) -> Result<Vec<Self>, NoSignature> {
        let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
        let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        said.take(MOST_SIGNATURES).map(|(line, said)| Self::read(said).ok_or(NoSignature { line })).collect()
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (by, algorithm, digits) = (words.next()?, words.next()?, words.next()?);
        if algorithm != "ed25519" || words.next().is_some() {
            return None;
        }
        Some(Self { by: PersonId::new(by).ok()?, bytes: read_digits(digits)? })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ed25519 ", self.by)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for NoSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no signature; `quaywatch sign` writes them: NAME ed25519 HEX", self.line)
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str(
                "the sharing file in force is signed and this one is not; have it signed by two of the persons in force \
                 (quaywatch sign)",
            ),
            Self::TooFew { counted, others } => {
                let counted = match counted.as_slice() {
                    [] => "nobody's signature counts".to_owned(),
                    all => format!("only {} signed", names(all)),
                };
                let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
                write!(
                    f,
                    "a sharing file needs the signatures of two persons, and {counted}{others}; sign what is in the file \
                     now, last of all (quaywatch sign)"
                )
            }
            Self::NoPfso => f.write_str(
                "none of those who signed has the role pfso in the sharing file in force; one of the two must",
            ),
            Self::NobodyNamed => f.write_str(
                "it names no persons, so nobody could sign the next one; keep [persons] with at least two, one of them \
                 pfso",
            ),
            Self::Old { issue, in_force } => write!(
                f,
                "its issue is {issue}, and {in_force} is in force; an old file cannot be put back, so raise `issue` and \
                 have it signed again"
            ),
        }
    }
}

impl std::error::Error for NotTaken {}

/// The public key of a secret one.
pub fn public_key(secret: &[u8; 32]) -> PublicKey {
    PublicKey(SigningKey::from_bytes(secret).verifying_key().to_bytes())
}

/// A signature by a key alone, as 128 hexadecimal digits: a gateway's own.
pub fn sign(kind: Signable, text: &[u8], secret: &[u8; 32]) -> String {
    let signature = SigningKey::from_bytes(secret).sign(&message(kind, text));
    signature.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether 128 hexadecimal digits are a key's signature on a text.
pub fn is_signed(kind: Signable, text: &[u8], digits: &str, key: &PublicKey) -> bool {
    let Some(bytes) = read_digits(digits) else { return false };
    let signature = ed25519_dalek::Signature::from_bytes(&bytes);
    VerifyingKey::from_bytes(&key.0).is_ok_and(|key| key.verify_strict(&message(kind, text), &signature).is_ok())
}

/// Whose signatures on a text count, by name; and of the others why not.
pub fn signers(
    persons: &BTreeMap<PersonId, Person>,
    kind: Signable,
    text: &[u8],
    signatures: &[Signature],
) -> (Vec<PersonId>, Vec<String>) {
    let message = message(kind, text);
    let (mut counted, mut others): (Vec<PersonId>, Vec<String>) = (Vec::new(), Vec::new());
    for signature in signatures {
        let by = &signature.by;
        let Some(person) = persons.get(by) else {
            others.push(format!("{by} is nobody who may sign"));
            continue;
        };
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        let key = VerifyingKey::from_bytes(&person.key.0);
        match key.and_then(|key| key.verify_strict(&message, &bytes)) {
            Err(_) => others.push(format!("{by}'s signature is not on this text, or not by {by}'s key")),
            // One key under two names is one person.
            Ok(()) if counted.iter().any(|known| persons.get(known).is_some_and(|known| known.key == person.key)) => {}
            Ok(()) => counted.push(by.clone()),
        }
    }
    counted.sort();
    (counted, others)
}

/// Whether a sharing file may take the place of the one in force, and whose signatures it then has; nobody's if both are
/// unsigned. Once persons are named, those who are named *in force* decide on the next file; the first file that names
/// persons is signed by two of its own.
pub fn admit(
    in_force: &Policy,
    new: &Policy,
    text: &[u8],
    signatures: &[Signature],
) -> Result<Vec<PersonId>, NotTaken> {
    let judges = match (in_force.persons.is_empty(), new.persons.is_empty()) {
        (true, true) => return Ok(Vec::new()),
        (true, false) => &new.persons,
        (false, _) => &in_force.persons,
    };
    if signatures.is_empty() && !in_force.persons.is_empty() {
        return Err(NotTaken::Unsigned);
    }
    let (counted, others) = signers(judges, Signable::SharingFile, text, signatures);
    if counted.len() < 2 {
        return Err(NotTaken::TooFew { counted, others });
    }
    let is_pfso = |by: &PersonId| judges.get(by).is_some_and(|person| person.roles.contains(&PersonRole::Pfso));
    if !counted.iter().any(is_pfso) {
        return Err(NotTaken::NoPfso);
    }
    if new.persons.is_empty() {
        return Err(NotTaken::NobodyNamed);
    }
    let as_new = Policy { signed_by: in_force.signed_by.clone(), ..new.clone() };
    let changed = as_new != *in_force;
    if new.issue < in_force.issue || (changed && in_force.issue > 0 && new.issue == in_force.issue) {
        return Err(NotTaken::Old { issue: new.issue, in_force: in_force.issue });
    }
    Ok(counted)
}

/// The 64 bytes of a signature.
fn read_digits(digits: &str) -> Option<[u8; 64]> {
    let (first, second) = digits.split_at_checked(64)?;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&PublicKey::parse(first).ok()?.0);
    bytes[32..].copy_from_slice(&PublicKey::parse(second).ok()?.0);
    Some(bytes)
}

/// What is signed: a text that is a signature's only, its kind, and the text itself.
fn message(kind: Signable, text: &[u8]) -> Vec<u8> {
    let kind: &[u8] = match kind {
        Signable::SharingFile => b"quaywatch signature v1: sharing file\0",
        Signable::Act => b"quaywatch signature v1: act\0",
        Signable::AuditCheckpoint => b"quaywatch signature v1: audit checkpoint\0",
    };
    [kind, text].concat()
}

fn names(persons: &[PersonId]) -> String {
    persons.iter().map(PersonId::as_str).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"[marking]\nowner = \"acme-terminal\"\n";

    fn secret(name: &str) -> [u8; 32] {
        *blake3::hash(name.as_bytes()).as_bytes()
    }

    fn id(name: &str) -> PersonId {
        PersonId::new(name).unwrap()
    }

    fn policy(issue: u32, persons: &[(&str, PersonRole)]) -> Policy {
        let person = |name: &str, role| Person {
            department: quaywatch_schemas::Department::new("port-security").unwrap(),
            roles: [role].into(),
            key: public_key(&secret(name)),
        };
        let persons = persons.iter().map(|(name, role)| (id(name), person(name, *role))).collect();
        Policy { issue, persons, ..Policy::default() }
    }

    fn signed(by: &[&str], text: &[u8]) -> Vec<Signature> {
        by.iter().map(|name| Signature::sign(Signable::SharingFile, text, id(name), &secret(name))).collect()
    }

    const OFFICERS: [(&str, PersonRole); 3] =
        [("ada", PersonRole::Pfso), ("ben", PersonRole::DataProtectionOfficer), ("cleo", PersonRole::ShiftSupervisor)];

    #[test]
    fn a_signature_is_read_as_it_was_written_and_holds_for_its_text_and_kind_only() {
        let officers = policy(1, &OFFICERS).persons;
        let written: String = signed(&["ada", "ben"], TEXT).iter().map(|signature| format!("{signature}\n")).collect();
        let read = Signature::read_all(&format!("# by hand\n\n{written}")).unwrap();
        assert_eq!(read, signed(&["ada", "ben"], TEXT));
        let counted = |kind, text: &[u8]| signers(&officers, kind, text, &read).0.len();
        assert_eq!(counted(Signable::SharingFile, TEXT), 2);
        assert_eq!(counted(Signable::Act, TEXT), 0);
        assert_eq!(counted(Signable::SharingFile, &[TEXT, b" "].concat()), 0);
        for bad in ["ada ed25519 00", "ada rsa 00", "Ada ed25519 00", &format!("{} x", read[0]), "ada ed25519 ä"] {
            assert_eq!(Signature::read_all(bad), Err(NoSignature { line: 1 }), "{bad}");
        }
    }

    #[test]
    fn an_unsigned_file_may_follow_an_unsigned_one_and_a_signed_one_begins_with_its_own_persons() {
        let none = Policy::default();
        assert_eq!(admit(&none, &none, TEXT, &[]), Ok(vec![]));
        let first = policy(1, &OFFICERS);
        assert!(matches!(admit(&none, &first, TEXT, &[]), Err(NotTaken::TooFew { .. })));
        assert_eq!(admit(&none, &first, TEXT, &signed(&["ben", "ada"], TEXT)), Ok(vec![id("ada"), id("ben")]));
        assert_eq!(admit(&none, &first, TEXT, &signed(&["ben", "cleo"], TEXT)), Err(NotTaken::NoPfso));
    }

    #[test]
    fn those_in_force_judge_the_next_file_and_nobody_it_names_itself() {
        let in_force = policy(1, &OFFICERS);
        let coup = policy(2, &[("mal", PersonRole::Pfso), ("moe", PersonRole::Pfso)]);
        let refused = admit(&in_force, &coup, TEXT, &signed(&["mal", "moe"], TEXT)).unwrap_err();
        assert_eq!(refused.to_string().matches("is nobody who may sign").count(), 2, "{refused}");
        assert_eq!(admit(&in_force, &coup, TEXT, &signed(&["ada", "ben", "mal"], TEXT)).map(|by| by.len()), Ok(2));
        assert_eq!(admit(&in_force, &Policy::default(), TEXT, &[]), Err(NotTaken::Unsigned));
        let handed_over = admit(&in_force, &policy(2, &[]), TEXT, &signed(&["ada", "ben"], TEXT));
        assert_eq!(handed_over, Err(NotTaken::NobodyNamed));
    }

    #[test]
    fn one_person_is_not_two_by_signing_twice_or_by_having_two_names() {
        let mut in_force = policy(1, &OFFICERS);
        let ada = in_force.persons[&id("ada")].clone();
        in_force.persons.insert(id("ada-again"), ada);
        let next = policy(2, &OFFICERS);
        let again = Signature::sign(Signable::SharingFile, TEXT, id("ada-again"), &secret("ada"));
        for signatures in [signed(&["ada", "ada"], TEXT), [signed(&["ada"], TEXT), vec![again]].concat()] {
            assert!(matches!(admit(&in_force, &next, TEXT, &signatures), Err(NotTaken::TooFew { .. })));
        }
    }

    #[test]
    fn an_old_file_cannot_be_put_back() {
        let in_force = policy(7, &OFFICERS);
        let by_two = signed(&["ada", "ben"], TEXT);
        assert_eq!(admit(&in_force, &in_force, TEXT, &by_two).map(|by| by.len()), Ok(2), "the same one again");
        assert_eq!(
            admit(&in_force, &policy(6, &OFFICERS), TEXT, &by_two),
            Err(NotTaken::Old { issue: 6, in_force: 7 })
        );
        let another = policy(7, &OFFICERS[..2]);
        assert_eq!(admit(&in_force, &another, TEXT, &by_two), Err(NotTaken::Old { issue: 7, in_force: 7 }));
        assert!(admit(&in_force, &policy(8, &OFFICERS[..2]), TEXT, &by_two).is_ok());
    }
}
