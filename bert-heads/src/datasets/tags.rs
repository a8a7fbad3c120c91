//! From any tag scheme to IOB2, the one that models are trained on.

use super::fault::{RowFault, shown};
use crate::metrics::{Scheme, TagReading, entities};

/// Converts tags to IOB2: `B` at the start of every entity, `I` inside (BERT §5.3 trains on such tags).
///
/// With [`TagReading::Lenient`] every tag belongs to an entity: sentences that were cut inside of
/// one, as in MSRA, begin with a new one.
///
/// # Errors
///
/// [`RowFault::Tag`] naming the first tag that the reading does not know or, if it is strict, that
/// belongs to no entity of the scheme, such as `I-PER` after `O` in IOB2 or `M` without `B` in BMES.
pub fn to_iob2(tags: &[impl AsRef<str>], reading: TagReading) -> Result<Vec<String>, RowFault> {
    let (known, name): (&[Scheme], _) = match &reading {
        TagReading::Strict(scheme) => (std::slice::from_ref(scheme), scheme.name()),
        TagReading::Lenient => (Scheme::ALL, "any scheme"),
    };
    let fault = |word: usize, reason| RowFault::Tag {
        tag: shown(tags[word].as_ref()),
        word: word + 1,
        scheme: name,
        reason,
    };
    let fits = |tag: &str| known.iter().any(|scheme| fits(tag, *scheme));
    if let Some(word) = tags.iter().position(|tag| !fits(tag.as_ref())) {
        let reason = "a tag is O, or a letter of the scheme, alone or before `-` and a label";
        return Err(fault(word, reason));
    }
    let bounds = match reading {
        // The lenient reading is the very definition of IOB1: a change of label begins an entity,
        // and so does B.
        TagReading::Strict(Scheme::Iob1) => TagReading::Lenient,
        other => other,
    };
    // The tags fit, so that they can be read.
    let found = entities(tags, bounds).unwrap_or_default();

    let mut converted = vec![None; tags.len()];
    for entity in found {
        for word in entity.start..entity.end {
            let letter = if word == entity.start { 'B' } else { 'I' };
            let mut tag = tags[word].as_ref().chars();
            tag.next();
            converted[word] = Some(format!("{letter}{}", tag.as_str()));
        }
    }
    let converted = converted.into_iter().enumerate();
    converted
        .map(|(word, tag)| match tag {
            Some(tag) => Ok(tag),
            None if tags[word].as_ref() == "O" => Ok("O".to_owned()),
            None => Err(fault(
                word,
                "it belongs to no whole entity; a lenient reading would make one of it",
            )),
        })
        .collect()
}

fn fits(tag: &str, scheme: Scheme) -> bool {
    let mut rest = tag.chars();
    match rest.next() {
        Some('O') => tag == "O",
        Some(letter) if scheme.letters().contains(letter) => {
            let rest = rest.as_str();
            rest.is_empty() || rest.len() > 1 && rest.starts_with('-')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(tags: &str, reading: TagReading) -> Result<String, RowFault> {
        let tags: Vec<&str> = tags.split_whitespace().collect();
        to_iob2(&tags, reading).map(|tags| tags.join(" "))
    }

    #[test]
    fn every_scheme_becomes_iob2() {
        for (scheme, tags, expected) in [
            (
                Scheme::Iob1,
                "I-A I-A B-A I-B O I-B B-A B-B",
                "B-A I-A B-A B-B O B-B B-A B-B",
            ),
            (Scheme::Iob2, "B-A I-A B-A O", "B-A I-A B-A O"),
            (Scheme::Iob2, "O O", "O O"),
            (
                Scheme::Bmes,
                "B-X-Y M-X-Y E-X-Y S-Z B-Z E-Z O",
                "B-X-Y I-X-Y I-X-Y B-Z B-Z I-Z O",
            ),
            (Scheme::Iobes, "B-A I-A E-A S-A O", "B-A I-A I-A B-A O"),
            (Scheme::Bilou, "B-A I-A L-A U-A O", "B-A I-A I-A B-A O"),
            (Scheme::Bmewo, "W-A B-A E-A", "B-A B-A I-A"),
            (Scheme::Ioe2, "I-A E-A E-A O", "B-A I-A B-A O"),
            (Scheme::Bmes, "B M E S", "B I I B"),
            (
                Scheme::Bmes,
                "B-\u{5730} E-\u{5730}",
                "B-\u{5730} I-\u{5730}",
            ),
            (Scheme::Iob2, "", ""),
        ] {
            assert_eq!(
                convert(tags, TagReading::Strict(scheme)).unwrap(),
                expected,
                "{tags}"
            );
        }
    }

    #[test]
    fn tags_that_break_their_scheme_are_named() {
        for (scheme, tags, word) in [
            (Scheme::Iob2, "O I-A", 2),
            (Scheme::Iob2, "B-A I-B", 2),
            (Scheme::Iob2, "B-A E-A", 2),
            (Scheme::Bmes, "B-A M-A O", 1),
            (Scheme::Bmes, "O E-A", 2),
            (Scheme::Bmes, "B-A E-B", 1),
            (Scheme::Iob1, "O PER", 2),
            (Scheme::Iob1, "O-PER", 1),
            (Scheme::Iob1, "I-", 1),
        ] {
            match convert(tags, TagReading::Strict(scheme)) {
                Err(RowFault::Tag { word: found, .. }) => assert_eq!(found, word, "{tags}"),
                other => panic!("{tags}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_lenient_reading_makes_entities_of_broken_tags() {
        for (tags, expected) in [
            ("I-A I-A O I-B I-A", "B-A I-A O B-B B-A"),
            ("M-A E-A O B-A M-A", "B-A I-A O B-A I-A"),
            ("E-A S-A U-B W-B L-B", "B-A B-A B-B B-B B-B"),
        ] {
            assert_eq!(convert(tags, TagReading::Lenient).unwrap(), expected);
        }
        let fault = convert("O PER", TagReading::Lenient)
            .unwrap_err()
            .to_string();
        assert!(
            fault.contains("`PER` of word 2 does not fit any scheme"),
            "{fault}"
        );
    }
}
