//! docs/zoo.md, made of the registry, the fixtures and the tests that are there, so that it states nothing that is not tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bert_core::agreement::{FORWARD_BAR, GRADIENT_BAR};
use bert_core::config::BertConfig;
use bert_core::models::{BERT, FAMILIES, Family, TokenizerModel};
use safetensors::SafeTensors;

use crate::zoo::{self, Fixture};

/// Variable that has the page written in place of compared.
const WRITE: &str = "BERT_WRITE_ZOO";

/// A column of what is tested.
struct Column {
    title: &'static str,
    /// Statement that the tests prove.
    proves: &'static str,
    /// Files of the workspace and tests in them.
    tests: &'static [(&'static str, &'static str)],
    /// True if the tests reach a family.
    reaches: fn(&'static Family) -> bool,
}

const ENCODER: (&str, &str) = (
    "bert-core/tests/encoder/parity.rs",
    "the_encoder_of_every_family_agrees_with_the_float64_reference",
);
const HEADS: &str = "bert-heads/tests/tasks/heads/parity.rs";
const MASKED_LM: &str = "bert-heads/tests/tasks/masked_lm.rs";

static COLUMNS: [Column; 12] = [
    Column {
        title: "encoder",
        proves: "every layer, attention and output, of texts alone, padded and packed",
        tests: &[ENCODER],
        reaches: |family| has_fixture(family, "Model"),
    },
    Column {
        title: "masked LM",
        proves: "logits and loss",
        tests: &[(
            MASKED_LM,
            "logits_and_loss_agree_with_the_float64_reference",
        )],
        reaches: |family| has_fixture(family, "ForMaskedLM"),
    },
    Column {
        title: "texts",
        proves: "classes of texts: logits and loss",
        tests: &[(HEADS, "one_label_per_text")],
        reaches: |family| has_fixture(family, "ForSequenceClassification"),
    },
    Column {
        title: "words",
        proves: "tags: logits and loss",
        tests: &[(HEADS, "a_label_per_token")],
        reaches: |family| has_fixture(family, "ForTokenClassification"),
    },
    Column {
        title: "answers",
        proves: "starts and ends in a context: logits and loss",
        tests: &[(HEADS, "a_span_per_question")],
        reaches: |family| has_fixture(family, "ForQuestionAnswering"),
    },
    Column {
        title: "choices",
        proves: "scores and loss",
        tests: &[(HEADS, "one_choice_of_several")],
        reaches: |family| has_fixture(family, "ForMultipleChoice"),
    },
    Column {
        title: "next sentence",
        proves: "logits and loss",
        tests: &[(HEADS, "the_next_sentence")],
        reaches: |family| has_fixture(family, "ForNextSentencePrediction"),
    },
    Column {
        title: "gradients",
        proves: "of every parameter, of the encoder and under every head",
        tests: &[
            ENCODER,
            (MASKED_LM, "gradients_agree_with_the_float64_reference"),
        ],
        reaches: |family| zoo::of_family(family).iter().all(has_gradients),
    },
    Column {
        title: "tokens",
        proves: "ids, segments and offsets of nasty texts and pairs",
        tests: &[
            ("bert-core/tests/encoder/tokenizer.rs", "single_texts_agree"),
            (
                "bert-core/tests/encoder/tokenizer_kinds/mod.rs",
                "every_kind_agrees_as_given_and_as_saved",
            ),
            (
                "bert-core/tests/encoder/byte_level/mod.rs",
                "nasty_texts_agree_from_every_file",
            ),
        ],
        reaches: has_tokenizer,
    },
    Column {
        title: "files",
        proves: "what is saved are the names and bytes that transformers saves, and loads again bit for bit",
        tests: &[
            ENCODER,
            (HEADS, "a_label_per_token"),
            (MASKED_LM, "a_saved_model_loads_bit_for_bit"),
        ],
        reaches: |family| has_fixture(family, "Model"),
    },
    Column {
        title: "8 bits",
        proves: "on Flex, values near those of floats",
        tests: &[ENCODER],
        reaches: |family| has_fixture(family, "Model"),
    },
    Column {
        title: "commands",
        proves: "fine-tuning for every head, and every command on what it saves",
        tests: &[
            (
                "tests/finetune/zoo.rs",
                "every_family_learns_every_task_that_it_has",
            ),
            ("tests/cli/zoo.rs", "every_command_takes_every_family"),
        ],
        reaches: |_| true,
    },
];

/// Classes of transformers with the heads of columns.
const CLASSES: [&str; 6] = [
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
];

fn has_fixture(family: &'static Family, class: &str) -> bool {
    zoo::of_family(family)
        .iter()
        .any(|fixture| fixture.class == class)
}

fn has_gradients(fixture: &Fixture) -> bool {
    let path = zoo::fixtures()
        .join(&fixture.name)
        .join("reference.safetensors");
    let bytes = fs::read(path).unwrap();
    let names = SafeTensors::deserialize(&bytes).unwrap();
    names.names().iter().any(|name| name.starts_with("grad."))
}

/// True if the tokens of a family, or those of BERT that it has, are compared with transformers.
fn has_tokenizer(family: &'static Family) -> bool {
    let of_bert = family.tokenizer.model == TokenizerModel::WordPiece
        && family.tokenizer.special_tokens == BERT.tokenizer.special_tokens;
    let kind = zoo::fixtures()
        .join("tokenizer-kinds")
        .join(family.model_type);
    let own = zoo::fixtures()
        .join(family.model_type)
        .join("mlm/tokenizer_reference.json");
    of_bert || kind.is_dir() || own.is_file()
}

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Digits in groups of three.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// A table whose columns are text.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
    let rule = vec!["---".to_owned(); header.len()];
    let rows = rows.into_iter().map(|cells| row(&cells));
    [row(&header), row(&rule)].into_iter().chain(rows).collect()
}

/// The families and their published models.
fn models() -> String {
    let rows = FAMILIES.into_iter().map(|family| {
        let base = BertConfig::preset_in_family("base", family).unwrap();
        let tokenizer = match family.tokenizer.model {
            TokenizerModel::WordPiece => "WordPiece",
            TokenizerModel::ByteLevelBpe => "byte-level pairs",
            TokenizerModel::Unigram(_) => "Unigram",
        };
        let segments = match (base.type_vocab_size, family.tokenizer.segments) {
            (2.., true) => "two",
            _ => "one",
        };
        let published = &family.published;
        vec![
            family.name.to_owned(),
            format!("`{}`", family.model_type),
            format!("`{}`", published.id),
            grouped(published.parameters),
            format!("{tokenizer}, {}", grouped(base.vocab_size)),
            grouped(base.max_input_length()),
            segments.to_owned(),
            published.others.join(", "),
        ]
    });
    let header = [
        "family",
        "`model_type`",
        "base model",
        "weights",
        "tokens",
        "longest input",
        "segments",
        "others",
    ];
    table(&header, rows)
}

/// The tests that reach each family.
fn tested() -> String {
    let titles = COLUMNS.iter().map(|column| column.title);
    let header: Vec<&str> = ["family"].into_iter().chain(titles).collect();
    let rows = FAMILIES.into_iter().map(|family| {
        let cells = COLUMNS.iter().map(|column| match (column.reaches)(family) {
            true => "✓".to_owned(),
            false => "–".to_owned(),
        });
        [family.name.to_owned()].into_iter().chain(cells).collect()
    });
    table(&header, rows)
}

/// The tests behind each column.
fn tests() -> String {
    let rows = COLUMNS.iter().map(|column| {
        let tests = column
            .tests
            .iter()
            .map(|(file, test)| format!("`{file}`: `{test}`"));
        vec![
            column.title.to_owned(),
            column.proves.to_owned(),
            tests.collect::<Vec<_>>().join("; "),
        ]
    });
    table(&["column", "what is compared", "tests"], rows)
}

/// Records of differences, by the names of their files.
fn records() -> BTreeMap<String, String> {
    let files = fs::read_dir(workspace("docs/parity")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "txt"));
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Line of a record: a device, a fixture, and differences by the kind of their values.
struct Line<'a> {
    label: &'a str,
    fixture: &'a str,
    differences: Vec<(&'a str, f64)>,
}

/// Kinds of values in records.
const KINDS: [&str; 2] = ["forward", "gradients"];

impl<'a> Line<'a> {
    /// Reads what a test has printed; nothing of lines that are about something else.
    fn read(line: &'a str) -> Option<Self> {
        // On one thread the name of the test stands before what it prints first.
        let printed = line
            .rsplit_once(" ... ")
            .map_or(line, |(_, printed)| printed);
        let words: Vec<&str> = printed.split_whitespace().collect();
        let (&[label, fixture], rest) = words.split_first_chunk()?;
        let differences = rest.windows(2).filter(|pair| KINDS.contains(&pair[0]));
        let differences = differences.map(|pair| {
            let number = pair[1].trim_end_matches(',').parse().ok()?;
            Some((pair[0], number))
        });
        let differences = differences.collect::<Option<Vec<_>>>()?;
        let is_there = !differences.is_empty();
        is_there.then_some(Self {
            label,
            fixture,
            differences,
        })
    }
}

/// Largest differences of a family on a device in a record, by kind; none if a fixture of a head is not in it.
fn worst(lines: &[Line<'_>], label: &str, family: &'static Family) -> Option<[f64; 2]> {
    let mut worst = [0.0_f64; 2];
    let fixtures = zoo::of_family(family).into_iter();
    for fixture in fixtures.filter(|found| CLASSES.contains(&found.class.as_str())) {
        let lines = lines.iter();
        let mut of_fixture = lines
            .filter(|line| line.label == label && line.fixture == fixture.name)
            .flat_map(|line| &line.differences)
            .peekable();
        of_fixture.peek()?;
        for (kind, difference) in of_fixture {
            let at = usize::from(*kind == KINDS[1]);
            worst[at] = worst[at].max(*difference);
        }
    }
    Some(worst)
}

/// The largest differences seen, family by family.
fn differences() -> String {
    let records = records();
    let mut columns = Vec::new();
    let mut titles = Vec::new();
    for (name, record) in &records {
        let lines: Rc<[Line<'_>]> = record.lines().filter_map(Line::read).collect();
        let labels: BTreeSet<&str> = lines.iter().map(|line| line.label).collect();
        for label in labels {
            titles.push(match label == name {
                true => label.to_owned(),
                false => format!("{label} ({name})"),
            });
            columns.push((label, Rc::clone(&lines)));
        }
    }
    let titles = titles.iter().map(String::as_str);
    let header: Vec<&str> = ["family"].into_iter().chain(titles).collect();
    let rows = FAMILIES.into_iter().map(|family| {
        let cells = columns.iter().map(|(label, lines)| {
            let Some([forward, gradients]) = worst(lines, label, family) else {
                return String::new();
            };
            let name = family.name;
            assert!(
                forward <= FORWARD_BAR && gradients <= GRADIENT_BAR,
                "{label} {name}"
            );
            format!("{forward:.1e}; {gradients:.1e}")
        });
        [family.name.to_owned()].into_iter().chain(cells).collect()
    });
    table(&header, rows)
}

fn page() -> String {
    format!(
        "# The zoo\n\n\
         Families of encoders that are read, trained and saved here, with what is tested of each.\n\
         `{WRITE}=1 cargo test --release --workspace --test tasks zoo_page` writes this page from the registry \
         (`bert-core/src/models/`), the fixtures (`bert-core/fixtures/`) and the tests; without the variable the test fails \
         where they say something else.\n\n\
         ## Families\n\n{}\n\
         Weights are those of the base model's encoder, with its pooler if it has one. The longest input is that of the base \
         model, in tokens; `bert predict` reads longer texts in windows, as `bert embed --long-texts mean` does.\n\
         Models with one segment read pairs of texts by the separators between them.\n\n\
         ## Tested\n\n{}\n\
         – : transformers has no class for it in the family, so that no program could load such a model; `bert finetune` \
         refuses it.\n\n{}\n\
         The reference is transformers 5.23 in float64, on small models with random weights; tolerances, devices and drivers \
         are in [Parity](parity.md).\n\n\
         ## Differences seen\n\n\
         The largest difference of any value, and of any gradient (relative), over all fixtures of the family, as the tests \
         print them; records are in `docs/parity/`, one for each run of \
         `cargo test --release --workspace --test encoder --test tasks -- parity:: masked_lm:: --nocapture`.\n\n{}",
        models(),
        tested(),
        tests(),
        differences()
    )
}

#[test]
fn the_page_is_what_registry_fixtures_and_tests_say() {
    let path = workspace("docs/zoo.md");
    let expected = page();
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap();
    assert!(
        found == expected,
        "docs/zoo.md is not what it would be: write it with {WRITE}=1 in the environment of this test"
    );
}

#[test]
fn the_readme_names_every_family_on_its_first_screen() {
    let readme = fs::read_to_string(workspace("README.md")).unwrap();
    let (screen, _) = readme.split_once("\n## ").unwrap();
    for family in FAMILIES {
        assert!(screen.contains(family.name), "{}", family.name);
    }
}

#[test]
fn every_test_that_the_page_names_is_there() {
    for column in &COLUMNS {
        for (file, test) in column.tests {
            let text = fs::read_to_string(workspace(file)).unwrap();
            let (before, _) = text
                .split_once(&format!("fn {test}("))
                .unwrap_or_else(|| panic!("{file} has no test {test}"));
            assert!(before.trim_end().ends_with("#[test]"), "{file}: {test}");
        }
    }
}

#[test]
fn heads_have_fixtures_where_transformers_has_their_class() {
    for family in FAMILIES {
        for class in CLASSES {
            let expected = family.has_class(class);
            assert_eq!(
                has_fixture(family, class),
                expected,
                "{} {class}",
                family.name
            );
        }
        let next_sentence = has_fixture(family, "ForNextSentencePrediction");
        assert_eq!(next_sentence, family.heads.next_sentence, "{}", family.name);
    }
}
