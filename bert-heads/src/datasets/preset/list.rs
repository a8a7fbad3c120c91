//! The data sets that are known, with what is peculiar about the files of each.

use super::{Format, Part, Preset, TaskKind};
use crate::datasets::choices::ChoiceFormat;
use crate::datasets::columns::{Column, Columns, TargetColumn};
use crate::datasets::layout::Layout;
use crate::datasets::questions::{QuestionFormat, QuestionLayout};
use crate::datasets::text::{Targets, TextFormat};
use crate::datasets::tokens::TokenFormat;
use crate::labels::Labels;
use crate::metrics::{GlueTask, Scheme, TagReading};

const TRAIN: &[&str] = &["train.tsv"];
const DEV: &[&[&str]] = &[&["dev.tsv"]];
const TEST: &[&[&str]] = &[&["test.tsv"]];
/// The primary number comes last.
const ACCURACY: &[&str] = &["accuracy"];
const CORRELATION: &[&str] = &["pearson", "spearmanr"];
const ENTITIES: &[&str] = &["precision", "recall", "f1"];
const ANSWERS: &[&str] = &["exact_match", "f1"];

pub(super) const PRESETS: &[Preset] = &[
    // Columns source, label, original judgement and sentence; only the test file has a header.
    glue(GlueTask::Cola, |part| match part {
        Part::Test => texts(Layout::tsv(), Columns::text(name("sentence")), &[], part),
        _ => {
            let layout = Layout::tsv().without_header().with_fields(&[4]);
            let columns = Columns::text(Column::Number(4)).with_label(Column::Number(2));
            texts(layout, columns, &["0", "1"], part)
        }
    }),
    glue(GlueTask::Sst2, |part| {
        labelled(Columns::text(name("sentence")), &["0", "1"], part)
    }),
    // The test file of the original release has labels, that of GLUE has none.
    Preset {
        test: &[&["msr_paraphrase_test.txt", "test.tsv"]],
        ..glue(GlueTask::Mrpc, |part| {
            let columns = pair("#1 String", "#2 String").with_label(name("Quality"));
            texts(Layout::tsv(), columns, &["0", "1"], part)
        })
    },
    glue(GlueTask::Qqp, |part| {
        let columns = pair("question1", "question2").with_label(name("is_duplicate"));
        texts(Layout::tsv(), columns, &["0", "1"], part)
    }),
    glue(GlueTask::Stsb, |part| {
        let columns = pair("sentence1", "sentence2");
        let columns = columns.with_target(TargetColumn::Number(name("score")));
        texts(Layout::tsv(), columns, &[], part)
    }),
    Preset {
        validation: &[&["dev_matched.tsv"], &["dev_mismatched.tsv"]],
        test: &[&["test_matched.tsv"], &["test_mismatched.tsv"]],
        ..glue(GlueTask::Mnli, |part| {
            let columns = pair("sentence1", "sentence2").with_label(name("gold_label"));
            texts(Layout::tsv(), columns, INFERENCE, part)
        })
    },
    glue(GlueTask::Qnli, |part| {
        labelled(pair("question", "sentence"), ENTAILMENT, part)
    }),
    glue(GlueTask::Rte, |part| {
        labelled(pair("sentence1", "sentence2"), ENTAILMENT, part)
    }),
    glue(GlueTask::Wnli, |part| {
        labelled(pair("sentence1", "sentence2"), &["0", "1"], part)
    }),
    // Named .csv, but tabs without quotes: genre, file, year, id, score and the two sentences, on
    // some lines followed by two columns on licences.
    Preset {
        name: "stsbenchmark",
        task: TaskKind::Regression,
        glue: None,
        metrics: CORRELATION,
        train: &["sts-train.csv"],
        validation: &[&["sts-dev.csv"]],
        test: &[&["sts-test.csv"]],
        format: |part| {
            let layout = Layout::tsv().without_header().with_fields(&[7, 9]);
            let columns = Columns::pair(Column::Number(6), Column::Number(7));
            let columns = columns.with_target(TargetColumn::Number(Column::Number(5)));
            texts(layout, columns, &[], part)
        },
    },
    // The two sentences and the score.
    Preset {
        name: "stsbenchmark-zh",
        task: TaskKind::Regression,
        glue: None,
        metrics: CORRELATION,
        train: &["zh-STS-B.train.data", "STS-B.train.data"],
        validation: &[&["zh-STS-B.valid.data", "STS-B.valid.data"]],
        test: &[&["zh-STS-B.test.data", "STS-B.test.data"]],
        format: |part| {
            let layout = Layout::tsv().without_header().with_fields(&[3]);
            let columns = Columns::pair(Column::Number(1), Column::Number(2));
            let columns = columns.with_target(TargetColumn::Number(Column::Number(3)));
            texts(layout, columns, &[], part)
        },
    },
    Preset {
        name: "chnsenticorp",
        task: TaskKind::Classification,
        glue: None,
        metrics: ACCURACY,
        train: TRAIN,
        validation: DEV,
        test: TEST,
        format: |part| labelled(Columns::text(name("text_a")), &["0", "1"], part),
    },
    Preset {
        name: "ocnli",
        task: TaskKind::Classification,
        glue: None,
        metrics: ACCURACY,
        train: &["train.json", "train.50k.json", "train.10k.json"],
        validation: &[&["dev.json"]],
        test: &[&["test.json"]],
        format: |part| {
            let columns = pair("sentence1", "sentence2").with_label(name("label"));
            texts(Layout::JsonLines, columns, INFERENCE, part)
        },
    },
    tagged(
        "conll2003",
        &["eng.train", "train.txt"],
        &[&["eng.testa", "valid.txt", "dev.txt"]],
        &[&["eng.testb", "test.txt"]],
        |part| {
            let reading = TagReading::Strict(Scheme::Iob1);
            tokens(reading, &["PER", "ORG", "LOC", "MISC"], part)
        },
    ),
    // BIO, but sentences were cut at a hundred characters, some of them inside of an entity.
    tagged(
        "msra-ner",
        &["msra_train.txt", "train.txt"],
        &[&["msra_dev.txt", "dev.txt"]],
        &[&["msra_test.txt", "test.txt"]],
        |part| tokens(TagReading::Lenient, &["PER", "ORG", "LOC"], part),
    ),
    // BMES, with two sentences cut inside of an organisation.
    tagged(
        "resume-ner",
        &["train.char.bmes"],
        &[&["dev.char.bmes"]],
        &[&["test.char.bmes"]],
        |part| {
            let types = ["NAME", "ORG", "TITLE", "EDU", "PRO", "CONT", "LOC", "RACE"];
            tokens(TagReading::Lenient, &types, part)
        },
    ),
    answered("squad", &["train-v1.1.json"], &[&["dev-v1.1.json"]]),
    answered("squad-v2", &["train-v2.0.json"], &[&["dev-v2.0.json"]]),
    Preset {
        name: "swag",
        task: TaskKind::MultipleChoice,
        glue: None,
        metrics: ACCURACY,
        train: &["train.csv"],
        validation: &[&["val.csv"]],
        test: &[&["test.csv"]],
        format: |part| {
            Format::Choices(ChoiceFormat::new(Layout::csv()).with_targets(targets(part)))
        },
    },
];

/// In the order of the GLUE data set of the hub.
const INFERENCE: &[&str] = &["entailment", "neutral", "contradiction"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];

const fn glue(task: GlueTask, format: fn(Part) -> Format) -> Preset {
    Preset {
        name: task.name(),
        task: match task {
            GlueTask::Stsb => TaskKind::Regression,
            _ => TaskKind::Classification,
        },
        glue: Some(task),
        metrics: &[],
        train: TRAIN,
        validation: DEV,
        test: TEST,
        format,
    }
}

const fn tagged(
    name: &'static str,
    train: &'static [&'static str],
    validation: &'static [&'static [&'static str]],
    test: &'static [&'static [&'static str]],
    format: fn(Part) -> Format,
) -> Preset {
    Preset {
        name,
        task: TaskKind::TokenClassification,
        glue: None,
        metrics: ENTITIES,
        train,
        validation,
        test,
        format,
    }
}

const fn answered(
    name: &'static str,
    train: &'static [&'static str],
    validation: &'static [&'static [&'static str]],
) -> Preset {
    Preset {
        name,
        task: TaskKind::QuestionAnswering,
        glue: None,
        metrics: ANSWERS,
        train,
        validation,
        test: &[],
        format: |part| {
            let format = QuestionFormat::new(QuestionLayout::Json);
            Format::Questions(format.with_answers(targets(part)))
        },
    }
}

const fn targets(part: Part) -> Targets {
    match part {
        Part::Test => Targets::IfPresent,
        _ => Targets::Required,
    }
}

fn name(name: &str) -> Column {
    Column::named(name)
}

fn pair(text: &str, pair: &str) -> Columns {
    Columns::pair(name(text), name(pair))
}

/// Tabs and a header, with a column `label`.
fn labelled(columns: Columns, labels: &[&str], part: Part) -> Format {
    texts(
        Layout::tsv(),
        columns.with_label(name("label")),
        labels,
        part,
    )
}

/// No labels stand for any.
fn texts(layout: Layout, columns: Columns, labels: &[&str], part: Part) -> Format {
    let format = TextFormat {
        // Annotators did not agree (SNLI, MNLI, OCNLI).
        unlabelled: Some("-".to_owned()),
        // Those written here are distinct.
        labels: Labels::new(labels.iter().copied()).ok(),
        ..TextFormat::new(layout)
    };
    Format::Texts(format.with_columns(columns).with_targets(targets(part)))
}

fn tokens(reading: TagReading, types: &[&str], part: Part) -> Format {
    let types = types.iter();
    let tags = types.flat_map(|label| [format!("B-{label}"), format!("I-{label}")]);
    let format = TokenFormat {
        labels: Labels::new(["O".to_owned()].into_iter().chain(tags)).ok(),
        ..TokenFormat::lines().with_reading(reading)
    };
    Format::Tokens(format.with_targets(targets(part)))
}
