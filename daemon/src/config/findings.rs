//! What is wrong with a file, where, and what to do: collected, so that one look at the file mends all of it.

use super::Problems;
use std::{fmt::Write as _, ops::Range, path::Path, sync::Arc};

/// A file as it was read, kept so that what is found later can still be pointed at.
#[derive(Debug, Clone)]
pub(super) struct Source(Arc<Text>);

#[derive(Debug)]
struct Text {
    name: String,
    text: String,
}

/// What was found so far in one file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    at: Range<usize>,
    what: String,
    help: String,
}

/// The most problems that are printed at once; what is beyond is counted.
const MOST_PRINTED: usize = 20;
/// A site file of a thousand sensors is about 200 KiB.
const MOST_BYTES: u64 = 4 << 20;
/// Characters of a source line that are printed: a terminal at a gate is seldom wider.
const WIDEST: usize = 110;

impl Source {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let cannot = |why: &dyn std::fmt::Display| Problems(vec![format!("{name}: cannot be read: {why}\n")]);
        let size = std::fs::metadata(path).map_err(|why| cannot(&why))?.len();
        if size > MOST_BYTES {
            return Err(cannot(&format_args!("{size} bytes are more than {MOST_BYTES}; is this the right file?")));
        }
        let bytes = std::fs::read(path).map_err(|why| cannot(&why))?;
        let text = String::from_utf8(bytes).map_err(|why| {
            let good = &why.as_bytes()[..why.utf8_error().valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            cannot(&format_args!("line {line} is not UTF-8; save the file as UTF-8"))
        })?;
        Ok(Self::new(&name, text))
    }

    pub(super) fn new(name: &str, text: String) -> Self {
        Self(Arc::new(Text { name: name.into(), text }))
    }

    pub(super) fn text(&self) -> &str {
        &self.0.text
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// BLAKE3 of the file.
    pub(super) fn digest(&self) -> [u8; 32] {
        *blake3::hash(self.0.text.as_bytes()).as_bytes()
    }

    /// Line and column of a byte, both from 1, the column in characters as editors count.
    fn place(&self, byte: usize) -> (usize, usize) {
        let text = self.text();
        let byte = (0..=byte.min(text.len())).rev().find(|byte| text.is_char_boundary(*byte)).unwrap_or(0);
        let before = &text[..byte];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
    }

    fn render(&self, finding: &Finding) -> String {
        let (line, column) = self.place(finding.at.start);
        let full = hidden(self.text().split('\n').nth(line - 1).unwrap_or_default());
        let (until_line, until_column) = self.place(finding.at.end);
        let length = full.chars().count();
        let end = if until_line == line { until_column - 1 } else { length };
        let shown = Excerpt::around(&full, column - 1, end.max(column));
        let gutter = line.to_string().len();
        let mut out = format!("{}:{line}:{column}: {}\n", self.name(), finding.what);
        let _ = writeln!(out, "{:gutter$} |", "");
        let _ = writeln!(out, "{line} | {}", shown.text);
        let _ = writeln!(out, "{:gutter$} | {:before$}{}", "", "", "^".repeat(shown.marked), before = shown.before);
        let mut lead = "= help:";
        for help in finding.help.lines().flat_map(|line| wrapped(line, WIDEST - gutter - 9)) {
            let _ = writeln!(out, "{:gutter$} {lead} {help}", "");
            lead = "       ";
        }
        out
    }
}

impl Findings {
    /// Notes a problem. `what` says what is wrong, `help` what to do; neither may hold a secret.
    pub(super) fn add(&mut self, at: Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        let finding = Finding { at, what: what.into(), help: help.into() };
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All problems in the file's order, at most [`MOST_PRINTED`], and how many more there are.
    pub(super) fn into_problems(mut self, source: &Source) -> Problems {
        self.found.sort_by_key(|finding| (finding.at.start, finding.at.end));
        let mut rendered: Vec<String> =
            self.found.iter().take(MOST_PRINTED).map(|finding| source.render(finding)).collect();
        if let Some(more) = self.found.len().checked_sub(MOST_PRINTED).filter(|more| *more > 0) {
            rendered.push(format!("{}: and {more} more; mend these first\n", source.name()));
        }
        Problems(rendered)
    }

    /// `value` if nothing was found.
    pub(super) fn finish<T>(self, source: &Source, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self.into_problems(source)) }
    }
}

/// A text in lines of at most so many characters, cut between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line =
            lines.last_mut().filter(|line| line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A part of a long line with what is pointed at in it.
struct Excerpt {
    text: String,
    before: usize,
    marked: usize,
}

impl Excerpt {
    /// `from` and `to` in characters.
    fn around(line: &str, from: usize, to: usize) -> Self {
        // What would move the caret, or the terminal's cursor, is printed as one blank.
        let letters: Vec<char> = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let letters = letters.as_slice();
        let from = from.min(letters.len());
        let (first, last) = if letters.len() <= WIDEST {
            (0, letters.len())
        } else {
            let first = from.saturating_sub(WIDEST / 2).min(letters.len() - WIDEST);
            (first, first + WIDEST)
        };
        let cut = |cut: bool| if cut { "…" } else { "" };
        let text: String = letters[first..last].iter().collect();
        let text = format!("{}{}{}", cut(first > 0), text.trim_end(), cut(last < letters.len()));
        Self { text, before: from - first + usize::from(first > 0), marked: to.min(last).saturating_sub(from).max(1) }
    }
}

/// A source line in which nothing secret can be read: literal passwords, tokens and keys, and logins inside addresses. It
/// works on the text and not on what was parsed, since a line that cannot be parsed is printed too. Keeps the length.
fn hidden(line: &str) -> String {
    let mut letters: Vec<char> = line.chars().collect();
    for key in ["password", "token", "secret", "key"] {
        let name: Vec<char> = key.chars().collect();
        for begin in 0..letters.len().saturating_sub(name.len()) {
            if letters[begin..begin + name.len()] == name[..] {
                hide_value(&mut letters, begin + name.len());
            }
        }
    }
    hide_logins(&mut letters);
    letters.into_iter().collect()
}

/// Hides the text after `= "` unless it refers to a credential.
fn hide_value(letters: &mut [char], after_key: usize) {
    let quoted_key = matches!(letters.get(after_key), Some('"' | '\''));
    let mut at = after_key + usize::from(quoted_key);
    let skip_blanks = |letters: &[char], mut at: usize| {
        while letters.get(at).is_some_and(|letter| letter.is_whitespace()) {
            at += 1;
        }
        at
    };
    at = skip_blanks(letters, at);
    if letters.get(at) != Some(&'=') {
        return;
    }
    at = skip_blanks(letters, at + 1);
    let quote = letters.get(at).copied().filter(|letter| matches!(letter, '"' | '\''));
    // Three quotes begin a text over several lines.
    while quote.is_some() && letters.get(at) == quote.as_ref() {
        at += 1;
    }
    let ends = |letter: char| match quote {
        Some(quote) => letter == quote,
        None => matches!(letter, ',' | '}' | '#'),
    };
    let until = letters[at.min(letters.len())..].iter().position(|letter| ends(*letter));
    let until = until.map_or(letters.len(), |length| at + length);
    let value: String = letters[at.min(until)..until].iter().collect();
    if !value.starts_with("credential:") {
        letters[at.min(until)..until].fill('*');
    }
}

/// Hides `user:password@` in addresses.
fn hide_logins(letters: &mut [char]) {
    let mut at = 0;
    while at + 3 < letters.len() {
        if letters[at..at + 3] != [':', '/', '/'] {
            at += 1;
            continue;
        }
        let begin = at + 3;
        let length = letters[begin..].iter().position(|letter| matches!(letter, '/' | '"' | '\'' | ' '));
        let host = begin..length.map_or(letters.len(), |length| begin + length);
        if let Some(login) = letters[host.clone()].iter().rposition(|letter| *letter == '@') {
            letters[begin..begin + login].fill('*');
        }
        at = host.end.max(begin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, at: Range<usize>) -> String {
        let mut findings = Findings::default();
        findings.add(at, "this is wrong", "do that\nand that");
        findings.into_problems(&Source::new("site.toml", text.into())).0.remove(0)
    }

    #[test]
    fn a_problem_is_shown_with_its_line_a_caret_under_it_and_what_to_do() {
        let text = "[site]\nid = \"Gate\"\n";
        let expected = "site.toml:2:6: this is wrong\n  |\n2 | id = \"Gate\"\n  |      ^^^^^^\n  = help: do that\n          and that\n";
        assert_eq!(render(text, 12..18), expected);
    }

    #[test]
    fn columns_are_counted_in_characters_and_a_tab_is_one() {
        assert!(render("\tname = \"Tür ✓\", x", 18..19).starts_with("site.toml:1:16:"));
    }

    #[test]
    fn a_long_line_is_cut_around_what_is_wrong() {
        let text = format!("{}WRONG{}", "a ".repeat(100), " b".repeat(100));
        let shown = render(&text, 200..205);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[2].starts_with("1 | …") && lines[2].ends_with('…') && lines[2].contains("WRONG"), "{shown}");
        let caret = lines[3].chars().position(|letter| letter == '^').unwrap();
        let word: Vec<char> = lines[2].chars().skip(caret).take(5).collect();
        assert_eq!(word, ['W', 'R', 'O', 'N', 'G'], "{shown}");
    }

    #[test]
    fn nothing_secret_is_ever_printed_even_if_the_line_cannot_be_parsed() {
        for line in [
            "password = \"hunter2\"",
            "password='hunter2'",
            "key = \"\"\"hunter2",
            "password = \"hunter2",
            "password = hunter2",
            "rear = { role = \"plate\", token=\"hunter2\", zone = \"a\" }",
            "\"key\" = \"hunter2\"",
            "answer_token = 'hunter2'",
            "mqtt = \"mqtts://me:hunter2@broker:8883\"",
            "upstream = { http = \"https://hunter2@tos\", token = \"hunter2\" }",
        ] {
            let shown = render(line, 0..1);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert!(render("token = \"credential:rear\"", 0..1).contains("credential:rear"));
    }

    #[test]
    fn only_so_many_are_printed_and_the_rest_is_counted() {
        let mut findings = Findings::default();
        (0..50).for_each(|at| findings.add(at..at, "wrong", "mend"));
        let problems = findings.into_problems(&Source::new("f", " ".repeat(60)));
        assert_eq!(problems.0.len(), 21);
        assert!(problems.0[20].contains("and 30 more"));
    }

    #[test]
    fn a_place_beyond_the_end_or_inside_a_letter_is_still_a_place() {
        assert!(render("", 5..9).starts_with("site.toml:1:1:"));
        assert!(render("é", 1..1).starts_with("site.toml:1:1:"));
    }
}
