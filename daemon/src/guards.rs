//! Guards of patterns in CEL, the Common Expression Language (github.com/google/cel-spec): no loops, no side effects, no
//! clock.
//!
//! What may be written is a part of CEL that is bounded by itself: 128 words, brackets 12 deep, no macros over lists or
//! maps, no regular expressions. It is recognised here first, so that whatever is wrong has a line and a column, and so that
//! the library's parser and evaluator are only ever given text that they can neither recover from nor exhaust a stack with.
//!
//! | Name | What it is |
//! |---|---|
//! | `zone` | the zone's name in the site file |
//! | `p` | probability with all evidence, 0 to 1 |
//! | `seconds` | from the first step to the last |
//! | `minute` | of the site's local day at the first step, 0 to 1439 (a whole number) |
//! | `closed` | whether the zone is closed then |
//! | `level` | ISPS level, 1 to 3 (a whole number) |
//! | `steps.NAME.count` | how often the step called NAME was seen (a whole number) |
//! | `steps.NAME.seconds` | from the first step to this one |
//! | `steps.NAME.value` | its last value, in kg, N, m, m/s, Cel, …, if it has one |
//!
//! CEL does not mix whole numbers and others in sums: `seconds > 10` compares, `seconds + 1.0` adds.

use cel::{Context, Program, Value, objects::Key};
use quaywatch_fusion::{BadGuard, Facts, Guard, Guards, StepFacts};
use std::collections::HashMap;

/// The language guards are written in.
#[derive(Debug, Clone, Copy)]
pub struct Cel;

/// The one there is: engines are given a reference to it.
pub static CEL: Cel = Cel;

/// Words of one guard: its evaluation recurses at most as deep.
const MOST_WORDS: usize = 128;
/// Brackets in brackets. Origin: the library's parser takes 21 frames for each.
const DEEPEST: usize = 12;
/// Origin: the library's parser takes 384 KiB for a simple rule in a debug build.
const STACK: usize = 16 << 20;
const NAMES: [&str; 7] = ["zone", "p", "seconds", "minute", "closed", "level", "steps"];
const FIELDS: [&str; 3] = ["count", "seconds", "value"];
const FUNCTIONS: [&str; 4] = ["size", "int", "double", "string"];
const METHODS: [&str; 4] = ["startsWith", "endsWith", "contains", "size"];

impl Guards for Cel {
    fn compile(&self, text: &str) -> Result<Box<dyn Guard>, BadGuard> {
        let words = recognise(text)?.words;
        let program = parse(text).map_err(|what| BadGuard {
            line: 1,
            column: 1,
            what,
            help: "write a comparison such as seconds < 10.0".into(),
        })?;
        Ok(Box::new(Compiled { program, words: words as u32 }))
    }
}

/// The names of steps that a guard asks for, each with its line and column.
pub fn steps_asked_for(text: &str) -> Result<Vec<(String, usize, usize)>, BadGuard> {
    recognise(text).map(|recognised| recognised.steps)
}

/// Why a guard cannot be told of the facts of a match, or `None` if it can: for those who load one, with facts as they might
/// be.
pub fn cannot_tell(text: &str, facts: &Facts<'_>) -> Option<String> {
    let program = parse(text).ok()?;
    match program.execute(&context(facts)) {
        Ok(Value::Bool(_)) => None,
        Ok(_) => Some("it is not a yes or no".into()),
        Err(why) => Some(why.to_string()),
    }
}

/// Parses what was recognised, on a stack that is large enough for it.
fn parse(text: &str) -> Result<Program, String> {
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let parse = thread.spawn_scoped(scope, || Program::compile(text).map_err(|why| why.to_string()));
        parse.map_err(|why| why.to_string())?.join().map_err(|_| "it cannot be parsed".to_owned())?
    });
    parsed.map_err(|why| why.lines().next().unwrap_or_default().to_owned())
}

struct Compiled {
    program: Program,
    words: u32,
}

impl Guard for Compiled {
    fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        match self.program.execute(&context(facts)) {
            Ok(Value::Bool(holds)) => Some(holds),
            _ => None,
        }
    }

    fn cost(&self) -> u32 {
        self.words
    }
}

/// The facts as CEL has them: whole numbers as `int`, others as `double`; never `uint`, which CEL does not add to `int`.
fn context(facts: &Facts<'_>) -> Context<'static, 'static> {
    let mut context = Context::default();
    context.add_variable_from_value("zone", facts.zone);
    context.add_variable_from_value("p", facts.p);
    context.add_variable_from_value("seconds", facts.seconds);
    context.add_variable_from_value("minute", i64::from(facts.minute));
    context.add_variable_from_value("closed", facts.closed);
    context.add_variable_from_value("level", i64::from(facts.level));
    let steps: HashMap<Key, Value> = facts.steps.iter().map(|step| (Key::from(step.name), fields(step))).collect();
    context.add_variable_from_value("steps", steps);
    context
}

fn fields(step: &StepFacts<'_>) -> Value {
    let mut fields: HashMap<Key, Value> = HashMap::new();
    fields.insert(Key::from("count"), Value::from(i64::from(step.count)));
    fields.insert(Key::from("seconds"), Value::from(step.seconds));
    if let Some(value) = step.value {
        fields.insert(Key::from("value"), Value::from(value));
    }
    Value::from(fields)
}

/// What was recognised of a text.
struct Recognised {
    words: usize,
    steps: Vec<(String, usize, usize)>,
}

fn recognise(text: &str) -> Result<Recognised, BadGuard> {
    let words = words(text)?;
    let mut parser = Parser { text, words: &words, next: 0, depth: 0, steps: Vec::new() };
    if words.is_empty() {
        return Err(parser.fault("there is no expression", "write a comparison such as seconds < 10.0"));
    }
    if words.len() > MOST_WORDS {
        return Err(parser.fault("this expression is too long", "write at most 128 words; make steps of some of it"));
    }
    parser.expression()?;
    if parser.peek().is_some() {
        return Err(parser.fault("this does not belong here", "join two conditions with && or ||"));
    }
    Ok(Recognised { words: words.len(), steps: parser.steps })
}

/// A word of an expression and the byte where it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Word<'t> {
    at: usize,
    kind: Kind,
    text: &'t str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Number,
    Text,
    Sign,
}

const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    // Only to be refused with a better word than "no sign".
    "{", "}",
];

fn words(text: &str) -> Result<Vec<Word<'_>>, BadGuard> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = |is: fn(char) -> bool| rest.find(|letter| !is(letter)).unwrap_or(rest.len());
        let (kind, length) = match letter {
            letter if letter.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                (Kind::Name, length(|letter| letter.is_ascii_alphanumeric() || letter == '_'))
            }
            '0'..='9' => (Kind::Number, length(|letter| letter.is_ascii_digit() || letter == '.')),
            '"' | '\'' => (Kind::Text, quoted(rest, letter).ok_or_else(|| unended(text, at))?),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Kind::Sign, sign.len()),
                None => {
                    let what = format!("{letter:?} has no meaning here");
                    return Err(fault(text, at, &what, "operators are && || ! == != < <= > >= + - * / % in ? :"));
                }
            },
        };
        let word = &rest[..length];
        if kind == Kind::Number && (word.matches('.').count() > 1 || word.ends_with('.') || word.len() > 15) {
            return Err(fault(text, at, "this is no number", "write 10 or 10.5"));
        }
        words.push(Word { at, kind, text: word });
        at += length;
    }
    Ok(words)
}

/// The length of a text with its quotes. Escapes are not taken: no zone or step needs them.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let inside = rest.get(1..)?;
    let end = inside.find(quote)?;
    let plain = !inside[..end].contains(['\\', '\n']);
    plain.then_some(end + 2)
}

fn unended(text: &str, at: usize) -> BadGuard {
    fault(text, at, "this text has no end, or a backslash in it", "write 'text' on one line, without backslashes")
}

struct Parser<'t> {
    text: &'t str,
    words: &'t [Word<'t>],
    next: usize,
    depth: usize,
    steps: Vec<(String, usize, usize)>,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<Word<'t>> {
        self.words.get(self.next).copied()
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.kind != Kind::Text && word.text == sign);
        self.next += usize::from(found);
        found
    }

    fn need(&mut self, sign: &str) -> Result<(), BadGuard> {
        if self.take(sign) { Ok(()) } else { Err(self.fault("something is missing here", &format!("write {sign}"))) }
    }

    fn expression(&mut self) -> Result<(), BadGuard> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault("these brackets are too deep", "12 in each other are the most"));
        }
        self.operand()?;
        while self.operator() {
            self.operand()?;
        }
        if self.take("?") {
            self.expression()?;
            self.need(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn operator(&mut self) -> bool {
        ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "in"].iter().any(|sign| self.take(sign))
    }

    fn operand(&mut self) -> Result<(), BadGuard> {
        // CEL takes either of them any number of times; once is enough for anybody.
        let _ = self.take("!") || self.take("-");
        let Some(word) = self.peek() else {
            return Err(self.fault("the expression ends too soon", "write what belongs after this"));
        };
        self.next += 1;
        match (word.kind, word.text) {
            (Kind::Number | Kind::Text, _) | (Kind::Name, "true" | "false") => {}
            (Kind::Sign, "(") => {
                self.expression()?;
                self.need(")")?;
            }
            (Kind::Sign, "[") => self.list("]")?,
            (Kind::Name, "steps") => return self.step(),
            (Kind::Name, name) if self.take("(") => {
                if !FUNCTIONS.contains(&name) {
                    let what = format!("there is no function {name:?} for guards");
                    return Err(fault(self.text, word.at, &what, &format!("there are: {}", FUNCTIONS.join(", "))));
                }
                self.list(")")?;
            }
            (Kind::Name, name) => {
                if !NAMES.contains(&name) {
                    let what = format!("a guard knows nothing called {name:?}");
                    return Err(fault(self.text, word.at, &what, &format!("there are: {}", NAMES.join(", "))));
                }
            }
            _ => {
                let what = format!("{:?} does not belong here", word.text);
                return Err(fault(self.text, word.at, &what, "write a name, a number or a text"));
            }
        }
        while self.take(".") {
            let method = self.peek().filter(|word| METHODS.contains(&word.text));
            if method.is_none() {
                return Err(self.fault("there is no such part", &format!("there are: {}", METHODS.join(", "))));
            }
            self.next += 1;
            self.need("(")?;
            self.list(")")?;
        }
        Ok(())
    }

    /// `steps.NAME.FIELD`
    fn step(&mut self) -> Result<(), BadGuard> {
        self.need(".")?;
        let Some(name) = self.peek().filter(|word| word.kind == Kind::Name) else {
            return Err(self.fault("this names no step", "write steps.NAME.count, NAME as the step's `as`"));
        };
        let (line, column) = place(self.text, name.at);
        self.steps.push((name.text.to_owned(), line, column));
        self.next += 1;
        self.need(".")?;
        if !self.peek().is_some_and(|field| FIELDS.contains(&field.text)) {
            return Err(self.fault("a step has no such part", &format!("there are: {}", FIELDS.join(", "))));
        }
        self.next += 1;
        Ok(())
    }

    fn list(&mut self, end: &str) -> Result<(), BadGuard> {
        if self.take(end) {
            return Ok(());
        }
        loop {
            self.expression()?;
            if !self.take(",") {
                return self.need(end);
            }
        }
    }

    /// A fault at the next word.
    fn fault(&self, what: &str, help: &str) -> BadGuard {
        fault(self.text, self.peek().map_or(self.text.len(), |word| word.at), what, help)
    }
}

fn fault(text: &str, at: usize, what: &str, help: &str) -> BadGuard {
    let (line, column) = place(text, at);
    BadGuard { line, column, what: what.into(), help: help.into() }
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts<'static> {
        let step = |name, seconds, value| StepFacts { name, count: 2, seconds, value };
        Facts {
            zone: "lane-3",
            p: 0.75,
            seconds: 4.0,
            minute: 131,
            closed: true,
            level: 2,
            steps: vec![step("first", 0.0, None), step("heavy", 4.0, Some(32_000.0))],
        }
    }

    fn holds(text: &str) -> Option<bool> {
        CEL.compile(text).unwrap_or_else(|bad| panic!("{text}: {bad}")).holds(&facts())
    }

    #[test]
    fn a_guard_sees_the_facts_of_a_match() {
        for (text, expected) in [
            ("seconds < 10", Some(true)),
            ("steps.heavy.seconds - steps.first.seconds < 3.5", Some(false)),
            ("steps.heavy.value > 30000 && closed", Some(true)),
            ("zone.startsWith('lane-') && (minute < 360 || minute >= 1320)", Some(true)),
            ("zone in ['lane-1', \"lane-3\"] ? p > 0.7 : !closed", Some(true)),
            ("steps.first.count + 1 == 3 && level % 2 == 0", Some(true)),
            ("size(zone) == -6 + 12", Some(true)),
            // A step without a value has none, and a sum of unlike numbers is none.
            ("steps.first.value > 3", None),
            ("seconds + 1 > 3", None),
            ("seconds", None),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_line_and_a_column() {
        for (text, line, column, what) in [
            ("", 1, 1, "no expression"),
            ("seconds <", 1, 10, "ends too soon"),
            ("seconds < 10 &&\n  sconds > 2", 2, 3, "nothing called \"sconds\""),
            ("seconds ~ 3", 1, 9, "'~' has no meaning"),
            ("matches(zone, 'a')", 1, 1, "no function \"matches\""),
            ("[1,2].all(x, x > 0)", 1, 7, "no such part"),
            ("zone == 'lane", 1, 9, "no end"),
            ("steps.a.plate == ''", 1, 9, "no such part"),
            ("seconds > 1 2", 1, 13, "does not belong here"),
            ("(seconds > 1", 1, 13, "missing"),
            ("seconds > 1.2.3", 1, 11, "no number"),
            ("{'a': 1}", 1, 1, "does not belong here"),
        ] {
            let bad = CEL.compile(text).err().unwrap_or_else(|| panic!("{text} is taken"));
            assert_eq!((bad.line, bad.column), (line, column), "{text}: {bad}");
            assert!(bad.what.contains(what), "{text}: {bad}");
        }
        let deepest = format!("{}closed{}", "(".repeat(11), ")".repeat(11));
        assert_eq!(holds(&deepest), Some(true));
        let deep = format!("{}true{}", "(".repeat(40), ")".repeat(40));
        assert!(CEL.compile(&deep).err().is_some_and(|bad| bad.what.contains("too deep")));
        let long = vec!["closed"; 200].join(" && ");
        assert!(CEL.compile(&long).err().is_some_and(|bad| bad.what.contains("too long")));
        let longest = vec!["closed"; 64].join(" && ");
        assert_eq!(holds(&longest), Some(true));
    }

    #[test]
    fn the_steps_a_guard_asks_for_are_known_with_their_places() {
        let steps = steps_asked_for("closed ||\n steps.second.count > 1").unwrap();
        assert_eq!(steps, [("second".to_owned(), 2, 8)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever is written is taken or refused, and what is taken can be asked.
        #[test]
        fn any_text_is_taken_or_refused(words in proptest::collection::vec(
            proptest::sample::select(vec![
                "seconds", "p", "zone", "steps", "first", "count", "closed", "(", ")", "[", "]", ".", ",", "&&", "||", "!",
                "-", "+", "*", "%", "/", "<", ">=", "==", "?", ":", "in", "1", "0", "2.5", "'a'", "size", "contains", "true",
                "\n", "é", "int", "string",
            ]), 0..24)) {
            let text = words.join(" ");
            if let Ok(guard) = CEL.compile(&text) {
                let _ = guard.holds(&facts());
            }
        }
    }
}
