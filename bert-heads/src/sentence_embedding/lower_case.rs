//! Lower-casing before the tokenizer sees a text (`do_lower_case` of `sentence_bert_config.json`).

use bert_core::tokenizer::BertTokenizer;

/// Lower-cases character by character, as the `Lowercase` normalizer does, and leaves special
/// tokens alone, which the tokenizer takes out before it normalizes.
pub(super) fn lower_case(text: &str, tokenizer: &BertTokenizer) -> String {
    let special = tokenizer.special_tokens();
    let special = [
        &special.unk,
        &special.sep,
        &special.pad,
        &special.cls,
        &special.mask,
    ];
    let mut lowered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match special
            .iter()
            .find(|token| rest.starts_with(token.as_str()))
        {
            Some(token) if !token.is_empty() => {
                lowered.push_str(token);
                rest = &rest[token.len()..];
            }
            _ => {
                lowered.extend(first.to_lowercase());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    lowered
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::tokenizer::TokenizerOptions;

    #[test]
    fn lower_casing_leaves_special_tokens() {
        let vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
        let tokenizer = BertTokenizer::from_vocab(vocab, &TokenizerOptions::default()).unwrap();
        assert_eq!(
            lower_case("A [MASK] [Mask] ÀΣ", &tokenizer),
            "a [MASK] [mask] àσ"
        );
    }
}
