//! The answers of a question, each checked to stand where it is said to.

use serde_json::{Map, Value};

use crate::datasets::cells::wrong_type;
use crate::datasets::example::Answer;
use crate::datasets::fault::{RowFault, shown};
use crate::datasets::text::Targets;

/// The answers among the fields of a question, and whether it is impossible.
pub(super) fn answers(
    targets: Targets,
    fields: &mut Map<String, Value>,
    context: &str,
) -> Result<(Vec<Answer>, bool), RowFault> {
    if targets == Targets::Ignored {
        return Ok((Vec::new(), false));
    }
    let stated = match fields.remove("is_impossible") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(stated)) => Some(stated),
        Some(other) => return Err(wrong_type("is_impossible", "true or false", &other)),
    };
    let answers = match fields.remove("answers") {
        Some(Value::Array(list)) => Some(
            list.iter()
                .map(|value| {
                    let value = value
                        .as_object()
                        .ok_or_else(|| wrong_type("answers", "a list of objects", value))?;
                    let part = |name: &str| value.get(name).unwrap_or(&Value::Null);
                    answer(part("text"), part("answer_start"), context)
                })
                .collect::<Result<Vec<_>, _>>()?,
        ),
        Some(Value::Object(lists)) => Some(parallel_answers(&lists, context)?),
        None | Some(Value::Null) => None,
        Some(other) => return Err(wrong_type("answers", "a list or an object", &other)),
    };
    let reason = match (answers, stated) {
        (Some(answers), None) => {
            let is_impossible = answers.is_empty();
            return Ok((answers, is_impossible));
        }
        (Some(answers), Some(stated)) if stated == answers.is_empty() => {
            return Ok((answers, stated));
        }
        (None, Some(true)) => return Ok((Vec::new(), true)),
        (None, _) if targets == Targets::IfPresent => return Ok((Vec::new(), false)),
        (None, _) => "it has no `answers`: add them, or say that it is impossible",
        (Some(_), Some(true)) => "it is called impossible, but has answers: correct either",
        (Some(_), Some(false)) => "it is not called impossible, but has no answer: correct either",
    };
    Err(RowFault::Answers { reason })
}

/// The texts of the answers of a question, wherever they stand in the context: what predictions are
/// scored by. Without any the question is impossible (`evaluate-v2.0.py`).
pub(super) fn answer_texts(fields: &Map<String, Value>) -> Result<Vec<Answer>, RowFault> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(Answer {
            text: text.clone(),
            start: 0,
        }),
        other => Err(wrong_type("answers.text", "a text", other)),
    };
    match fields.get("answers") {
        Some(Value::Array(list)) => list
            .iter()
            .map(|answer| text(answer.get("text").unwrap_or(answer)))
            .collect(),
        Some(Value::Object(lists)) => match lists.get("text") {
            Some(Value::Array(texts)) => texts.iter().map(text).collect(),
            Some(other) => Ok(vec![text(other)?]),
            None => Err(wrong_type("answers.text", "a list", &Value::Null)),
        },
        None | Some(Value::Null) => match fields.get("is_impossible") {
            Some(Value::Bool(true)) => Ok(Vec::new()),
            _ => Err(RowFault::Answers {
                reason: "it has no `answers`: add them, or say that it is impossible",
            }),
        },
        Some(other) => Err(wrong_type("answers", "a list or an object", other)),
    }
}

/// `{"text": […], "answer_start": […]}`.
fn parallel_answers(lists: &Map<String, Value>, context: &str) -> Result<Vec<Answer>, RowFault> {
    let list = |name: &'static str| match lists.get(name) {
        Some(Value::Array(list)) => Ok(list),
        other => {
            let found = other.unwrap_or(&Value::Null);
            Err(wrong_type(&format!("answers.{name}"), "a list", found))
        }
    };
    let (texts, starts) = (list("text")?, list("answer_start")?);
    if texts.len() != starts.len() {
        return Err(RowFault::Answers {
            reason: "its answers have more texts than offsets, or fewer: give each text its own",
        });
    }
    let answers = texts.iter().zip(starts);
    answers
        .map(|(text, start)| answer(text, start, context))
        .collect()
}

/// An answer that stands where it is said to.
fn answer(text: &Value, start: &Value, context: &str) -> Result<Answer, RowFault> {
    let Some(text) = text.as_str() else {
        return Err(wrong_type("answers.text", "a text", text));
    };
    if text.is_empty() {
        let column = "answers.text".to_owned();
        return Err(RowFault::Blank { column });
    }
    if !start.is_i64() && !start.is_u64() {
        return Err(wrong_type("answers.answer_start", "a whole number", start));
    }
    let offset = start.as_u64().and_then(|start| usize::try_from(start).ok());
    // Behind the last character there is a place too, though nothing stands there.
    let place = offset.and_then(|offset| {
        let bytes = context.char_indices().map(|(byte, _)| byte);
        bytes.chain([context.len()]).nth(offset)
    });
    let rest = place.map(|byte| &context[byte..]);
    match (offset, rest) {
        (Some(start), Some(rest)) if rest.starts_with(text) => Ok(Answer {
            text: text.to_owned(),
            start,
        }),
        (Some(start), Some(rest)) if rest.chars().count() >= text.chars().count() => {
            let found: String = rest.chars().take(text.chars().count()).collect();
            Err(RowFault::AnswerText {
                text: shown(text),
                start,
                found: shown(&found),
                instead: nearest(context, text, start),
            })
        }
        _ => Err(RowFault::AnswerRange {
            text: shown(text),
            start: start.to_string(),
            length: context.chars().count(),
            instead: nearest(context, text, offset.unwrap_or(0)),
        }),
    }
}

/// The offset, in characters, where `text` stands nearest to `start`.
fn nearest(context: &str, text: &str, start: usize) -> Option<usize> {
    // Characters are counted on from match to match: a letter stands in a long text many times.
    let (mut byte_of_last, mut offset) = (0, 0);
    let offsets = context.match_indices(text).map(|(byte, _)| {
        offset += context[byte_of_last..byte].chars().count();
        byte_of_last = byte;
        offset
    });
    offsets.min_by_key(|offset| offset.abs_diff(start))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_of_several_matches_counts_characters() {
        let context = "\u{5b57}ab\u{5b57}ab\u{5b57}ab";
        let offsets: Vec<_> = [0, 2, 4, 6, 99]
            .into_iter()
            .map(|start| nearest(context, "ab", start))
            .collect();
        assert_eq!(offsets, [1, 1, 4, 7, 7].map(Some));
        assert_eq!(nearest(context, "ba", 0), None);
    }
}
