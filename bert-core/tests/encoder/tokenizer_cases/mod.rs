//! Compares a tokenizer with what transformers gave for the same texts.
//!
//! Shared by `tokenizer.rs` (the small vocabulary in this repository) and `real_tokenizer.rs`
//! (Google's published ones). Each check takes the cases of one vocabulary and returns how many
//! there were, or the first ones that differ.

use bert_core::batch::{BertBatcher, Padding};
use bert_core::tokenizer::{
    BertTokenizer, EncodeOptions, Encoding, TextInput, TokenizerOptions, Truncation,
};
use serde_json::{Value, json};

/// A check over the cases of one vocabulary.
pub(crate) type Check = fn(&Value, &str, &BertTokenizer) -> Result<usize, String>;

/// Every check, named after its list in the fixture file.
pub(crate) const CHECKS: [(&str, Check); 5] = [
    ("singles", singles),
    ("pairs", pairs),
    ("pair_errors", pair_errors),
    ("windows", windows),
    ("batches", batches),
];

/// Reads a fixture file beside `vocab.txt`.
pub(crate) fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/tokenizer/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The options a vocabulary's reference was made with.
pub(crate) fn options(vocabulary: &Value) -> TokenizerOptions {
    TokenizerOptions {
        do_lower_case: vocabulary["do_lower_case"].as_bool().unwrap(),
        strip_accents: vocabulary["strip_accents"].as_bool(),
        tokenize_chinese_chars: vocabulary["tokenize_chinese_chars"].as_bool().unwrap(),
        ..Default::default()
    }
}

fn singles(fixture: &Value, vocab: &str, tokenizer: &BertTokenizer) -> Result<usize, String> {
    each(fixture, "singles", vocab, |case| {
        let encoding = tokenizer
            .encode(text(case, "text"), &encode_options(case))
            .map_err(|error| error.to_string())?;
        same("tokens", &case["tokens"], &json!(encoding.tokens()))?;
        same_encoding(case, &encoding)
    })
}

fn pairs(fixture: &Value, vocab: &str, tokenizer: &BertTokenizer) -> Result<usize, String> {
    each(fixture, "pairs", vocab, |case| {
        let encode = |options: &EncodeOptions| encode_case(case, tokenizer, options);
        let encoding = encode(&encode_options(case)).map_err(|error| error.to_string())?;
        same_encoding(case, &encoding)?;
        let whole = encode(&EncodeOptions::default()).map_err(|error| error.to_string())?;
        let cut = whole.len() - encoding.len();
        same("truncated", &json!(cut), &json!(encoding.truncated()))
    })
}

fn pair_errors(fixture: &Value, vocab: &str, tokenizer: &BertTokenizer) -> Result<usize, String> {
    each(fixture, "pair_errors", vocab, |case| {
        let error = match encode_case(case, tokenizer, &encode_options(case)) {
            Ok(encoding) => return Err(format!("no error but {} tokens", encoding.len())),
            Err(error) => error,
        };
        let cause = std::error::Error::source(&error).map(|cause| cause.to_string());
        same("error", &case["error"], &json!(cause))
    })
}

/// A case of two texts. The reference was made one call at a time, where transformers takes an
/// empty second text for none at all; in a batch it keeps the pair, and so does `encode_pair`.
fn encode_case(
    case: &Value,
    tokenizer: &BertTokenizer,
    options: &EncodeOptions,
) -> bert_core::Result<Encoding> {
    match text(case, "pair") {
        "" => tokenizer.encode(text(case, "text"), options),
        pair => tokenizer.encode_pair(text(case, "text"), pair, options),
    }
}

fn windows(fixture: &Value, vocab: &str, tokenizer: &BertTokenizer) -> Result<usize, String> {
    each(fixture, "windows", vocab, |case| {
        same("strategy", &json!("only_second"), &case["strategy"])?;
        let (max_length, stride) = (number(case, "max_length"), number(case, "stride"));
        let found = tokenizer
            .encode_windows(
                text(case, "text"),
                text(case, "pair"),
                max_length.unwrap(),
                stride.unwrap(),
            )
            .map_err(|error| error.to_string())?;
        let expected = case["windows"].as_array().unwrap();
        same(
            "number of windows",
            &json!(expected.len()),
            &json!(found.len()),
        )?;
        expected
            .iter()
            .zip(&found)
            .try_for_each(|(expected, found)| same_encoding(expected, found))
    })
}

fn batches(fixture: &Value, vocab: &str, tokenizer: &BertTokenizer) -> Result<usize, String> {
    each(fixture, "batches", vocab, |case| {
        let texts = strings(&case["texts"]);
        let pairs = case["pairs"].as_array().map(|_| strings(&case["pairs"]));
        let inputs: Vec<TextInput<'_>> = match &pairs {
            None => texts.iter().copied().map(TextInput::Single).collect(),
            Some(pairs) => texts
                .iter()
                .zip(pairs)
                .map(|(a, b)| TextInput::Pair(a, b))
                .collect(),
        };
        let encodings = tokenizer
            .encode_batch(inputs, &encode_options(case))
            .map_err(|error| error.to_string())?;
        let padding = match (
            text(case, "padding"),
            number(case, "max_length"),
            number(case, "pad_to_multiple_of"),
        ) {
            ("max_length", Some(length), None) => Padding::Fixed(length),
            ("longest", _, Some(multiple)) => Padding::MultipleOf(multiple),
            ("longest", _, None) => Padding::Longest,
            other => return Err(format!("padding {other:?} is not known to this test")),
        };
        let input = BertBatcher::new(tokenizer)
            .with_padding(padding)
            .batch(&encodings, &bert_core::device::test_devices()[0].1)
            .map_err(|error| error.to_string())?;

        let width = input.dims()[1];
        let rows = |values: Vec<i64>| json!(values.chunks(width).collect::<Vec<_>>());
        let ids = input.input_ids.to_data().iter::<i64>().collect();
        same("ids", &case["ids"], &rows(ids))?;
        let type_ids = input.token_type_ids.to_data().iter::<i64>().collect();
        same("type_ids", &case["type_ids"], &rows(type_ids))?;
        let attended = input.mask_pad.to_data();
        let attended = attended.iter::<bool>().map(|padding| i64::from(!padding));
        same(
            "attention_mask",
            &case["attention_mask"],
            &rows(attended.collect()),
        )
    })
}

/// Runs `check` on the cases of one vocabulary, of which there may be none.
fn each(
    fixture: &Value,
    list: &str,
    vocab: &str,
    check: impl Fn(&Value) -> Result<(), String>,
) -> Result<usize, String> {
    const SHOWN: usize = 3;
    let cases: Vec<&Value> = fixture[list]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["vocab"] == vocab)
        .collect();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{}\n  {case}", check(case).err()?)))
        .collect();
    if !failures.is_empty() {
        return Err(format!(
            "{} of {} cases differ:\n{}",
            failures.len(),
            cases.len(),
            failures[..failures.len().min(SHOWN)].join("\n")
        ));
    }
    Ok(cases.len())
}

fn encode_options(case: &Value) -> EncodeOptions {
    EncodeOptions {
        max_length: number(case, "max_length"),
        truncation: match case["strategy"].as_str() {
            None | Some("longest_first") => Truncation::LongestFirst,
            Some("only_first") => Truncation::OnlyFirst,
            Some("only_second") => Truncation::OnlySecond,
            Some(other) => panic!("strategy {other} is not known to this test"),
        },
        ..Default::default()
    }
}

fn same_encoding(case: &Value, encoding: &Encoding) -> Result<(), String> {
    same("ids", &case["ids"], &json!(encoding.ids()))?;
    same("type_ids", &case["type_ids"], &json!(encoding.type_ids()))?;
    same("offsets", &case["offsets"], &json!(encoding.offsets()))
}

fn same(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match expected == found {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected}, found {found}")),
    }
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

fn number(case: &Value, key: &str) -> Option<usize> {
    case[key].as_u64().map(|value| value as usize)
}

fn strings(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}
