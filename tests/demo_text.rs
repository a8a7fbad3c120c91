//! The grammar, the labels and the parts.

use std::collections::HashSet;

use bert::demo::text::{Document, Language, Mood, Part, Sentence, Writer};
use bert_heads::datasets::Target;

const LANGUAGES: [Language; 2] = [Language::English, Language::Chinese];

fn documents(language: Language, part: Part, seed: u64, count: usize) -> Vec<Document> {
    let mut writer = Writer::new(language, part, seed);
    (0..count).map(|_| writer.document()).collect()
}

/// The name tagged `kind` in the sentence, its words joined.
fn entity(sentence: &Sentence, kind: &str) -> Vec<String> {
    let words = sentence.words.iter();
    words
        .filter(|word| word.tag().ends_with(kind))
        .map(|word| word.text.clone())
        .collect()
}

/// True if there is a question in the sentence.
fn asks(sentence: &Sentence) -> bool {
    sentence
        .words
        .iter()
        .any(|word| ["?", "？"].contains(&word.text.as_str()))
}

/// True if the document begins with a fact, which questions follow.
fn is_portrait(document: &Document) -> bool {
    asks(&document.sentences[1])
}

#[test]
fn a_seed_decides_all() {
    for language in LANGUAGES {
        let of = |seed| documents(language, Part::Pretraining, seed, 20);
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        let examples = |seed| Writer::new(language, Part::Labelled, seed).examples(5, 5);
        assert_eq!(examples(3), examples(3));
        assert_ne!(examples(3), examples(4));
    }
}

#[test]
fn a_document_names_its_person_once_and_in_answers_and_keeps_to_the_pronoun() {
    for document in documents(Language::English, Part::Pretraining, 1, 300) {
        let told = document.sentences.iter().filter(|one| !asks(one));
        let names: usize = told.map(|sentence| entity(sentence, "PER").len()).sum();
        assert!(
            names == 2 || names == 0 && !is_portrait(&document),
            "{document:?}"
        );
        let wrong = match document.woman {
            true => ["he", "his", "him"],
            false => ["she", "her", "hers"],
        };
        let words = document
            .sentences
            .iter()
            .flat_map(|sentence| &sentence.words);
        for word in words {
            assert!(
                !wrong.contains(&word.text.to_lowercase().as_str()),
                "{document:?}"
            );
        }
    }
}

#[test]
fn articles_number_and_punctuation_are_right() {
    let documents = documents(Language::English, Part::Pretraining, 2, 300);
    for sentence in documents.iter().flat_map(|document| &document.sentences) {
        let text = sentence.text(" ");
        assert!(text.starts_with(char::is_uppercase), "{text}");
        assert!(text.ends_with(['.', '!']) && !text.contains("  "), "{text}");
        assert!(!text.contains(['{', '}']) && !text.contains(" ."), "{text}");
        for pair in sentence.words.windows(2) {
            let vowel = pair[1].text.starts_with(['a', 'e', 'i', 'o', 'u']);
            match pair[0].text.as_str() {
                "a" | "A" => assert!(!vowel, "{text}"),
                "an" | "An" => assert!(vowel, "{text}"),
                _ => {}
            }
        }
    }
}

#[test]
fn names_have_whole_tags_and_nothing_else_has() {
    for language in LANGUAGES {
        for document in documents(language, Part::Pretraining, 3, 200) {
            if !is_portrait(&document) {
                continue;
            }
            let fact = &document.sentences[0];
            for kind in ["PER", "LOC", "ORG"] {
                let begins = fact
                    .words
                    .iter()
                    .filter(|word| word.tag() == format!("B-{kind}"));
                assert_eq!(begins.count(), 1, "{fact:?}");
            }
            for pair in fact.words.windows(2) {
                let (before, tag) = (pair[0].tag(), pair[1].tag());
                if let Some(kind) = tag.strip_prefix("I-") {
                    assert!(before.ends_with(kind), "{fact:?}");
                }
            }
        }
    }
}

#[test]
fn dialogues_are_on_the_fact_before_them() {
    for language in LANGUAGES {
        for document in documents(language, Part::Pretraining, 4, 200) {
            let fact = &document.sentences[0];
            for dialogue in document.sentences.iter().filter(|one| asks(one)) {
                for kind in ["PER", "LOC", "ORG"] {
                    let named = entity(dialogue, kind);
                    let known = entity(fact, kind);
                    assert!(named.is_empty() || named == known, "{document:?}");
                }
                assert!(dialogue.words.iter().any(|word| word.entity.is_some()));
            }
        }
    }
}

#[test]
fn an_answer_is_the_name_that_is_asked_for_and_stands_where_it_is_said_to() {
    for (language, heads) in [
        (Language::English, ["Who ", "Where ", "Which company "]),
        (Language::Chinese, ["谁", "哪里", "哪家公司"]),
    ] {
        for part in [Part::Labelled, Part::Test] {
            let mut seen = HashSet::new();
            for example in Writer::new(language, part, 4).examples(90, 90).questions {
                let [answer] = example.answers.as_slice() else {
                    panic!("{example:?}");
                };
                let there = example.context.chars().skip(answer.start);
                let there: String = there.take(answer.text.chars().count()).collect();
                assert_eq!(there, answer.text, "{example:?}");
                assert!(!example.question.contains(&answer.text), "{example:?}");
                let kind = heads
                    .iter()
                    .position(|head| example.question.contains(head));
                seen.insert((kind.unwrap(), answer.text.clone()));
            }
            for kind in 0..3 {
                assert!(seen.iter().filter(|(of, _)| *of == kind).count() > 5);
            }
        }
    }
}

/// The words of praise and of blame: what documents of one mood say and those of the other never do.
fn opinions(language: Language) -> [HashSet<String>; 2] {
    let mut said = [HashSet::new(), HashSet::new()];
    for document in documents(language, Part::Pretraining, 5, 3000) {
        // Without the last sentence, which has other ways of saying it.
        let sentences = &document.sentences[..document.sentences.len() - 1];
        let words = sentences.iter().flat_map(|sentence| &sentence.words);
        said[document.mood as usize].extend(words.map(|word| word.text.to_lowercase()));
    }
    [0, 1].map(|mood| said[mood].difference(&said[1 - mood]).cloned().collect())
}

#[test]
fn the_label_of_a_text_is_the_mood_of_its_words() {
    let moods = opinions(Language::English);
    for part in [Part::Labelled, Part::Test] {
        for example in Writer::new(Language::English, part, 6)
            .examples(200, 200)
            .texts
        {
            let text = example.text.to_lowercase();
            let found: Vec<bool> = text
                .split(|letter: char| !letter.is_alphabetic())
                .flat_map(|word| {
                    Mood::ALL.map(|mood| moods[mood as usize].contains(word).then_some(mood))
                })
                .flatten()
                .map(|mood| Target::Label(mood.label().to_owned()) == example.target)
                .collect();
            assert!(
                !found.is_empty() && found.iter().all(|right| *right),
                "{text}"
            );
        }
    }
}

#[test]
fn the_test_has_no_word_of_opinion_and_no_name_of_the_labelled_examples() {
    let moods = opinions(Language::English);
    let said = |part| {
        let examples = Writer::new(Language::English, part, 7).examples(400, 400);
        let texts: HashSet<String> = examples
            .texts
            .iter()
            .flat_map(|example| example.text.split(|letter: char| !letter.is_alphabetic()))
            .map(str::to_lowercase)
            .filter(|word| moods.iter().any(|words| words.contains(word)))
            .collect();
        let mut names: HashSet<String> = examples
            .sentences
            .iter()
            .flat_map(|example| example.words.iter().zip(example.tags.iter().flatten()))
            .filter(|(_, tag)| *tag != "O")
            .map(|(word, _)| word.clone())
            .collect();
        let answers = examples.questions.iter().flat_map(|one| &one.answers);
        names.extend(answers.flat_map(|one| one.text.split(' ').map(str::to_owned)));
        (texts, names)
    };
    let (labelled, test) = (said(Part::Labelled), said(Part::Test));
    assert!(
        labelled.0.is_disjoint(&test.0),
        "{:?}",
        labelled.0.intersection(&test.0)
    );
    assert!(
        labelled.1.is_disjoint(&test.1),
        "{:?}",
        labelled.1.intersection(&test.1)
    );
    assert!(
        test.0.len() >= 12 && test.1.len() >= 28,
        "{} {}",
        test.0.len(),
        test.1.len()
    );
}

#[test]
fn no_chinese_character_of_an_opinion_is_in_both_parts() {
    let said = |part| -> HashSet<char> {
        let texts = Writer::new(Language::Chinese, part, 8)
            .examples(400, 400)
            .texts;
        texts
            .iter()
            .flat_map(|example| example.text.chars())
            .collect()
    };
    // All that differs between the moods of a part are opinions, so they are what only one part has.
    let (labelled, test) = (said(Part::Labelled), said(Part::Test));
    for (first, second) in [('好', '美'), ('坏', '丑'), ('妙', '棒'), ('差', '烂')] {
        assert!(
            labelled.contains(&first) && !test.contains(&first),
            "{first}"
        );
        assert!(
            test.contains(&second) && !labelled.contains(&second),
            "{second}"
        );
    }
}

#[test]
fn nothing_of_the_test_is_in_what_is_trained_on() {
    for language in LANGUAGES {
        let mut writer = Writer::new(language, Part::Test, 9);
        let space = writer.space();
        let corpus = documents(language, Part::Pretraining, 9, 3000);
        let lines: HashSet<String> = corpus
            .iter()
            .flat_map(|document| &document.sentences)
            .map(|sentence| sentence.text(space))
            .collect();
        let texts: HashSet<String> = corpus
            .iter()
            .map(|document| {
                let lines: Vec<String> = document.sentences.iter().map(|s| s.text(space)).collect();
                lines.join(space)
            })
            .collect();
        let labelled = Writer::new(language, Part::Labelled, 9).examples(500, 500);
        let trained: HashSet<&str> = labelled.texts.iter().map(|e| e.text.as_str()).collect();
        let tagged: HashSet<&[String]> = labelled
            .sentences
            .iter()
            .map(|e| e.words.as_slice())
            .collect();
        let test = writer.examples(300, 300);
        for example in &test.texts {
            assert!(!trained.contains(example.text.as_str()), "{}", example.text);
            assert!(
                texts.iter().all(|text| !text.contains(&example.text)),
                "{}",
                example.text
            );
        }
        let asked: HashSet<&str> = labelled.questions.iter().map(|e| &*e.context).collect();
        for example in &test.questions {
            assert!(!asked.contains(&*example.context), "{example:?}");
        }
        for example in &test.sentences {
            assert!(
                !tagged.contains(example.words.as_slice()),
                "{:?}",
                example.words
            );
        }
        // Documents to measure pretraining with: neither the facts nor a judgement in them has been seen.
        for document in documents(language, Part::Test, 10, 100) {
            if !is_portrait(&document) {
                continue;
            }
            let fact = document.sentences[0].text(space);
            assert!(!lines.contains(&fact), "{fact}");
        }
        for senses in writer.senses(12) {
            for sentence in senses.sentences.iter().flatten() {
                assert!(!lines.contains(sentence), "{sentence}");
                assert_eq!(
                    sentence.to_lowercase().matches(senses.word).count(),
                    1,
                    "{sentence}"
                );
            }
        }
    }
}
