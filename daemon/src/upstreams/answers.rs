//! What recipients say back: answers, receipts and requests, read strictly.
//!
//! A refusal names the field and the rule, never the value: it goes into logs and dead letters. Fields we do not know are
//! ignored in answers, as everywhere in published JSON; a receipt and a request have no room for any.

use quaywatch_schemas::{
    WallTime,
    product::{ANSWER_BY_CHARS, ANSWER_REASON_CHARS, ANSWER_TYPE, Answer, AnswerWord, Receipt, Request, Verdict},
    time::ClockQuality,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// The largest answer, receipt or request. The longest answer that is allowed has some 3 KiB.
pub(super) const LARGEST: usize = 16 * 1024;

/// Why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// What an answer or a receipt is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Against {
    /// Our epoch.
    pub(super) epoch_hex: String,
    /// The last number this recipient was given.
    pub(super) last_sequence: u64,
    /// The wall clock.
    pub(super) now: WallTime,
    /// How far it can be trusted.
    pub(super) clock: ClockQuality,
}

/// Reads an answer: the plain object, or a CloudEvent of type `org.quaywatch.answer.v1` around it.
pub(super) fn answer(bytes: &[u8], against: &Against) -> Result<Answer, Refusal> {
    let object = object(bytes)?;
    let object = match object.get("specversion") {
        None => object,
        Some(_) => unwrapped(object)?,
    };
    let answer = Answer {
        product: text(&object, "product")?.into(),
        revision: revision(&object)?,
        word: word(&object)?,
        verdict: verdict(&object)?,
        reason: optional_text(&object, "reason")?.map(Into::into),
        by: text(&object, "by")?.into(),
        at: text(&object, "at")?.into(),
    };
    check_product(&answer.product, against)?;
    check_verdict(&answer)?;
    check_words(&answer)?;
    check_time(&answer.at, against)?;
    Ok(answer)
}

/// Reads a receipt.
pub(super) fn receipt(bytes: &[u8], against: &Against) -> Result<Receipt, Refusal> {
    let object = object(bytes)?;
    let receipt: Receipt = serde_json::from_value(Value::Object(object))
        .map_err(|_| refused("a receipt is {\"epoch\": text, \"up_to\": number} and nothing else"))?;
    if receipt.epoch != against.epoch_hex {
        return Err(refused("the receipt is of another epoch"));
    }
    if receipt.up_to > against.last_sequence {
        return Err(refused("the receipt is for numbers that were never given"));
    }
    Ok(receipt)
}

/// Reads a request.
pub(super) fn request(bytes: &[u8]) -> Result<Request, Refusal> {
    let object = object(bytes)?;
    serde_json::from_value(Value::Object(object)).map_err(|_| refused("a request is {\"request\": \"snapshot\"}"))
}

/// The epoch and the number in a product's id.
pub(super) fn parse_id(id: &str) -> Option<(&str, u64)> {
    let (epoch, sequence) = id.split_once('.')?;
    let digits = sequence.len() == 20 && sequence.bytes().all(|byte| byte.is_ascii_digit());
    Some((epoch, sequence.parse().ok().filter(|_| digits)?))
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if bytes.len() > LARGEST {
        return Err(refused(format!("longer than {LARGEST} bytes")));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(refused("not a JSON object")),
        Err(wrong) => Err(refused(format!("not JSON: line {}, column {}", wrong.line(), wrong.column()))),
    }
}

fn unwrapped(mut event: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    if event.get("type").and_then(Value::as_str) != Some(ANSWER_TYPE) {
        return Err(refused(format!("the event's type is not {ANSWER_TYPE}")));
    }
    match event.remove("data") {
        Some(Value::Object(data)) => Ok(data),
        _ => Err(refused("the event's data is not an object")),
    }
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<&'a str, Refusal> {
    optional_text(object, field)?.ok_or_else(|| refused(format!("{field} is missing")))
}

fn optional_text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, Refusal> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(refused(format!("{field} is not a text"))),
    }
}

fn revision(object: &Map<String, Value>) -> Result<u32, Refusal> {
    let number = object.get("revision").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or_else(|| refused("revision is not a whole number from 1"))
}

fn word(object: &Map<String, Value>) -> Result<AnswerWord, Refusal> {
    let words = "seen, acknowledged, actioned, rejected, closed";
    named(text(object, "word")?).ok_or_else(|| refused(format!("word is none of {words}")))
}

fn verdict(object: &Map<String, Value>) -> Result<Option<Verdict>, Refusal> {
    let words = "true, false, harmless, unknown";
    optional_text(object, "verdict")?
        .map(|verdict| named(verdict).ok_or_else(|| refused(format!("verdict is none of the texts {words}"))))
        .transpose()
}

fn named<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(Value::String(word.to_owned())).ok()
}

fn check_product(product: &str, against: &Against) -> Result<(), Refusal> {
    let (epoch, sequence) = parse_id(product).ok_or_else(|| refused("product is not a product's id"))?;
    if epoch != against.epoch_hex {
        return Err(refused("the product is of another epoch"));
    }
    if sequence == 0 || sequence > against.last_sequence {
        return Err(refused("the product was never given to this recipient"));
    }
    Ok(())
}

fn check_verdict(answer: &Answer) -> Result<(), Refusal> {
    match (answer.word, answer.verdict) {
        (AnswerWord::Closed, None) => Err(refused("closed needs a verdict; unknown is one")),
        (AnswerWord::Closed | AnswerWord::Rejected, _) | (_, None) => Ok(()),
        (_, Some(_)) => Err(refused("a verdict goes with closed or rejected only")),
    }
}

fn check_words(answer: &Answer) -> Result<(), Refusal> {
    let reason = answer.reason.as_deref().unwrap_or_default();
    if reason.chars().count() > ANSWER_REASON_CHARS {
        return Err(refused(format!("reason is longer than {ANSWER_REASON_CHARS} characters")));
    }
    if reason.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        return Err(refused("reason has control characters"));
    }
    if !(1..=ANSWER_BY_CHARS).contains(&answer.by.chars().count()) {
        return Err(refused(format!("by has 1 to {ANSWER_BY_CHARS} characters")));
    }
    if answer.by.chars().any(char::is_control) {
        return Err(refused("by has control characters"));
    }
    Ok(())
}

/// Clocks of recipients are allowed to be this far ahead of ours, beyond what ours may be wrong by.
const AHEAD: Duration = Duration::from_secs(300);
/// 2026-01-01: a gateway that believes it is earlier has no clock at all and cannot judge anybody's date.
const NO_CLOCK_BEFORE: WallTime = WallTime(1_767_225_600_000_000_000);

fn check_time(at: &str, against: &Against) -> Result<(), Refusal> {
    let at: jiff::Timestamp = at.parse().map_err(|_| refused("at is not a time as RFC 3339 has it"))?;
    let at = WallTime(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX));
    let latest = against.now.after(AHEAD).after(Duration::from_millis(against.clock.uncertainty_ms.into()));
    if against.now >= NO_CLOCK_BEFORE && at > latest {
        return Err(refused("at is in the future"));
    }
    Ok(())
}

fn refused(why: impl Into<String>) -> Refusal {
    Refusal(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quaywatch_schemas::time::ClockState;
    use serde_json::json;

    fn against() -> Against {
        Against {
            epoch_hex: "3f".into(),
            last_sequence: 1977,
            // 2026-03-14T02:15:00Z
            now: WallTime(1_773_454_500_000_000_000),
            clock: ClockQuality { gateway: ClockState::Synchronised, uncertainty_ms: 100 },
        }
    }

    fn good() -> Value {
        json!({
            "product": "3f.00000000000000001977", "revision": 2, "word": "acknowledged",
            "by": "duty officer", "at": "2026-03-14T02:14:10Z"
        })
    }

    fn with(changes: Value) -> Value {
        let mut answer = good();
        for (field, value) in changes.as_object().unwrap() {
            answer[field] = value.clone();
        }
        answer
    }

    fn read(value: &Value) -> Result<Answer, Refusal> {
        answer(value.to_string().as_bytes(), &against())
    }

    #[test]
    fn all_five_words_are_understood() {
        for (word, parsed) in [
            ("seen", AnswerWord::Seen),
            ("acknowledged", AnswerWord::Acknowledged),
            ("actioned", AnswerWord::Actioned),
            ("rejected", AnswerWord::Rejected),
        ] {
            assert_eq!(read(&with(json!({ "word": word }))).unwrap().word, parsed);
        }
        let closed = read(&with(json!({"word": "closed", "verdict": "harmless", "reason": "two trucks, one haulier"})));
        let closed = closed.unwrap();
        assert_eq!((closed.word, closed.verdict), (AnswerWord::Closed, Some(Verdict::Harmless)));
    }

    #[test]
    fn an_answer_may_come_as_a_cloud_event_of_the_version_we_know() {
        let event =
            |kind: &str| json!({"specversion": "1.0", "type": kind, "id": "a1", "source": "/c2", "data": good()});
        assert_eq!(read(&event(ANSWER_TYPE)).unwrap(), read(&good()).unwrap());
        let refusal = read(&event("org.quaywatch.answer.v2")).unwrap_err();
        assert_eq!(refusal.0, "the event's type is not org.quaywatch.answer.v1");
    }

    #[test]
    fn whatever_is_wrong_is_refused_with_the_field_and_without_the_value() {
        let cases = [
            (json!({"word": "SECRET"}), "word is none of seen, acknowledged, actioned, rejected, closed"),
            (json!({"word": 7}), "word is not a text"),
            (json!({"word": null}), "word is missing"),
            (json!({"product": "SECRET"}), "product is not a product's id"),
            (json!({"product": "3f.1977"}), "product is not a product's id"),
            (json!({"product": "40.00000000000000001977"}), "the product is of another epoch"),
            (json!({"product": "3f.00000000000000001978"}), "the product was never given to this recipient"),
            (json!({"product": "3f.00000000000000000000"}), "the product was never given to this recipient"),
            (json!({"product": "3f.99999999999999999999"}), "product is not a product's id"),
            (json!({"revision": 0}), "revision is not a whole number from 1"),
            (json!({"revision": 1.5}), "revision is not a whole number from 1"),
            (json!({"revision": 4_294_967_296_u64}), "revision is not a whole number from 1"),
            (json!({"verdict": "true"}), "a verdict goes with closed or rejected only"),
            (json!({"word": "closed"}), "closed needs a verdict; unknown is one"),
            (
                json!({"word": "closed", "verdict": "SECRET"}),
                "verdict is none of the texts true, false, harmless, unknown",
            ),
            (json!({"word": "closed", "verdict": true}), "verdict is not a text"),
            (json!({"reason": "é".repeat(501)}), "reason is longer than 500 characters"),
            (json!({"reason": "a\u{0}b"}), "reason has control characters"),
            (json!({"by": ""}), "by has 1 to 64 characters"),
            (json!({"by": "x".repeat(65)}), "by has 1 to 64 characters"),
            (json!({"by": "duty\nofficer"}), "by has control characters"),
            (json!({"at": "yesterday"}), "at is not a time as RFC 3339 has it"),
            (json!({"at": "2026-03-14T02:14:10"}), "at is not a time as RFC 3339 has it"),
            (json!({"at": "2026-03-14T02:21:00Z"}), "at is in the future"),
            (json!({"at": "2126-03-14T02:21:00Z"}), "at is in the future"),
        ];
        for (changes, why) in cases {
            assert_eq!(read(&with(changes.clone())).unwrap_err().0, why, "{changes}");
        }
        assert_eq!(read(&with(json!({"reason": "é".repeat(500)}))).unwrap().reason.unwrap().chars().count(), 500);
        for (bytes, why) in [
            (&b"{\"word\": SECRET}"[..], "not JSON: line 1, column 10"),
            (b"[]", "not a JSON object"),
            (b"", "not JSON: line 1, column 0"),
            (&[0xff, 0xfe], "not JSON: line 1, column 1"),
            (&[b' '; LARGEST + 1], "longer than 16384 bytes"),
        ] {
            assert_eq!(answer(bytes, &against()).unwrap_err().0, why);
        }
    }

    #[test]
    fn a_gateway_with_a_doubtful_clock_doubts_itself_first() {
        let at =
            |at: &str, against: &Against| answer(with(json!({ "at": at })).to_string().as_bytes(), against).is_ok();
        let mut unsure = against();
        unsure.clock = ClockQuality { gateway: ClockState::Unsynchronised, uncertainty_ms: 3_600_000 };
        assert!(at("2026-03-14T03:14:10Z", &unsure) && !at("2026-03-14T03:30:00Z", &unsure));
        unsure.now = WallTime(0);
        assert!(at("2026-03-14T03:14:10Z", &unsure), "1970 is no clock to judge by");
    }

    #[test]
    fn receipts_count_for_their_own_epoch_and_for_numbers_that_exist() {
        let read = |value: Value| receipt(value.to_string().as_bytes(), &against()).map(|receipt| receipt.up_to);
        assert_eq!(read(json!({"epoch": "3f", "up_to": 1977})), Ok(1977));
        assert_eq!(read(json!({"epoch": "3f", "up_to": 0})), Ok(0));
        for (value, why) in [
            (json!({"epoch": "3e", "up_to": 5}), "the receipt is of another epoch"),
            (json!({"epoch": "3f", "up_to": 1978}), "the receipt is for numbers that were never given"),
            (json!({"epoch": "3f", "up_to": -1}), "a receipt is {\"epoch\": text, \"up_to\": number} and nothing else"),
            (json!({"epoch": "3f"}), "a receipt is {\"epoch\": text, \"up_to\": number} and nothing else"),
        ] {
            assert_eq!(read(value).unwrap_err().0, why);
        }
    }

    #[test]
    fn one_request_exists() {
        assert!(request(br#"{"request":"snapshot"}"#).is_ok());
        for bad in [&br#"{"request":"everything"}"#[..], br#"{"request":"snapshot","since":1}"#, b"snapshot"] {
            assert!(request(bad).is_err());
        }
    }
}
