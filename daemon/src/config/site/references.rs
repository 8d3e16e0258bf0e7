//! Feeds of references and how each comes.

use super::{ReferencesTable, sensors::known};
use crate::config::{
    document::{Named, Table},
    findings::Findings,
    plan::{Feed, FeedWay, Line, Way},
    written::Word,
};
use quaywatch_schemas::{FeedId, LineId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use toml::Spanned;

/// Origin: booking lists and rosters are made once a day.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

pub(super) fn read(
    tables: Named<FeedId, ReferencesTable>,
    lines: &BTreeMap<LineId, Line>,
    declared: &BTreeSet<String>,
    findings: &mut Findings,
) -> BTreeMap<FeedId, Feed> {
    let mut feeds = BTreeMap::new();
    let mut folders = BTreeSet::new();
    for (id, table) in tables.tables {
        let folder_at = table.key("folder");
        let Some(feed) = feed(table, lines, declared, findings) else { continue };
        if let FeedWay::Folder(folder) = &feed.way
            && !folders.insert(folder.clone())
        {
            findings.add(
                folder_at,
                "another feed has this folder",
                "a file tells nothing of its feed: give each a folder",
            );
        }
        feeds.insert(id, feed);
    }
    feeds
}

fn feed(
    mut table: Table<ReferencesTable>,
    lines: &BTreeMap<LineId, Line>,
    declared: &BTreeSet<String>,
    findings: &mut Findings,
) -> Option<Feed> {
    let kinds = findings.all(table.value.kinds.take()).map(Spanned::into_inner).unwrap_or_default();
    let max_age = findings.take(table.value.max_age.take());
    if let Some(age) = max_age.as_ref().filter(|age| age.get_ref().0 < Duration::from_secs(60)) {
        findings.add(age.span(), "no list is this fresh", "write at least \"1 min\"; \"24 h\" is usual");
    }
    let folder = findings.take(table.value.folder.take());
    let line = findings.take(table.value.line.take());
    let token = findings.take(table.value.token.take());
    let topic = findings.take(table.value.topic.take());
    let way = match (table.has("folder"), table.has("line")) {
        (true, false) => {
            misfit(&table, &["token", "topic"], "a folder", findings);
            FeedWay::Folder(folder?.into_inner().0)
        }
        (false, true) => {
            let line_at = table.key("line");
            let line = known(line?, "line", declared, findings)?;
            match &lines.get(&line)?.way {
                Way::Http { .. } => {
                    misfit(&table, &["topic"], "a webhook listener", findings);
                    if !table.has("token") {
                        let what = format!("`{}` has no `token`", table.path);
                        findings.add(table.at.clone(), what, "add token = \"credential:NAME\": it proves the sender");
                    }
                    FeedWay::Hook { line, token: token? }
                }
                Way::Mqtt(_) => {
                    misfit(&table, &["token"], "a broker", findings);
                    if !table.has("topic") {
                        let what = format!("`{}` has no `topic`", table.path);
                        findings.add(table.at.clone(), what, "add topic = \"…\", where the lists are published");
                    }
                    FeedWay::Topic { line, topic: topic?.into_inner().0 }
                }
                other => {
                    let what = format!("line `{line}` is {}, which brings no references", other.noun());
                    findings.add(line_at, what, "name a webhook listener or a broker");
                    return None;
                }
            }
        }
        (true, true) => {
            findings.add(
                table.key("folder"),
                "a feed comes one way: as files or over a line",
                "take `folder` or `line` out",
            );
            return None;
        }
        (false, false) => {
            let what = format!("`{}` does not say how it comes", table.path);
            findings.add(table.at.clone(), what, "add folder = \"/path\", or line = \"NAME\" with token or topic");
            return None;
        }
    };
    Some(Feed {
        kinds: kinds
            .into_iter()
            .map(|kind| {
                let Word(kind) = kind.into_inner();
                kind
            })
            .collect(),
        max_age: max_age.map_or(MAX_AGE, |age| age.into_inner().0),
        way,
    })
}

fn misfit(table: &Table<ReferencesTable>, keys: &[&str], way: &str, findings: &mut Findings) {
    for key in keys.iter().filter(|key| table.has(key)) {
        findings.add(table.key(key), format!("`{key}` does not go with {way}"), "take it out");
    }
}
