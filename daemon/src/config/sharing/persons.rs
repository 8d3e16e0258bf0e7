//! Persons: who may sign.

use super::{PersonTable, need_list};
use crate::config::{
    document::{Named, Table},
    findings::Findings,
};
use quaywatch_schemas::{
    PersonId,
    policy::{Person, PersonRole, PublicKey},
};
use std::collections::BTreeMap;

pub(super) fn read(tables: Named<PersonId, PersonTable>, findings: &mut Findings) -> BTreeMap<PersonId, Person> {
    let mut persons = BTreeMap::new();
    let mut keys: BTreeMap<PublicKey, PersonId> = BTreeMap::new();
    let whole = tables.declared.len() == tables.tables.len();
    let begin = tables.tables.first().map_or(0..0, |(_, table)| table.at.clone());
    for (id, table) in tables.tables {
        let key_at = table.key("key");
        let Some(person) = person(table, findings) else { continue };
        if let Some(other) = keys.insert(person.key, id.clone()) {
            let help = "a person makes a key alone: quaywatch sign --new-key FILE";
            findings.add(key_at, format!("this is also the key of `{other}`: two names would be one signature"), help);
        }
        persons.insert(id, person);
    }
    let pfsos = persons.values().filter(|person| person.roles.contains(&PersonRole::Pfso)).count();
    if whole && !persons.is_empty() && (persons.len() < 2 || pfsos == 0) {
        let help = "name at least two, one of them with the role \"pfso\": they sign this file from now on";
        findings.add(begin, "these persons could never change this file", help);
    }
    persons
}

fn person(table: Table<PersonTable>, findings: &mut Findings) -> Option<Person> {
    let owner = (&table.at, table.path.as_str());
    let help = "department = \"port-security\": where they work";
    let department = findings.need(table.value.department, owner, "department", help);
    let help = "roles = [\"pfso\"]: what they are there";
    let roles = need_list(table.value.roles, owner, "roles", help, findings);
    let help = "key = \"64 hexadecimal digits\", as quaywatch sign --new-key FILE prints them";
    let key = findings.need(table.value.key, owner, "key", help);
    let roles = roles.into_iter().map(|role| role.into_inner().0).collect();
    Some(Person { department: department?.into_inner(), roles, key: key?.into_inner() })
}
