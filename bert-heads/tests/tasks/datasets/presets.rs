//! Published files as they are.

use super::questions::{NEW, squad};
use super::tokens::CONLL;
use super::*;

#[test]
fn presets_read_files_as_they_are_published() {
    for (name, part, text, examples) in [
        (
            "cola",
            Part::Train,
            "gj04\t1\t\tA \"b.\ngj04\t0\t*\tC.\n",
            2,
        ),
        ("cola", Part::Test, "index\tsentence\n0\tA.\n", 1),
        (
            "mrpc",
            Part::Train,
            "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t5\t7\t\" A\tB\n",
            1,
        ),
        (
            "mrpc",
            Part::Test,
            "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t7\tA\tB\n",
            1,
        ),
        (
            "stsb",
            Part::Train,
            "index\tsentence1\tsentence2\tscore\n0\tA\tB\t3.800\n",
            1,
        ),
        (
            "mnli",
            Part::Validation,
            "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tA\tB\tneutral\tneutral\n1\tA\tB\tneutral\t-\n",
            1,
        ),
        (
            "qqp",
            Part::Validation,
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tA\tB\t0\n",
            1,
        ),
        (
            "qnli",
            Part::Train,
            "index\tquestion\tsentence\tlabel\n0\tA\tB\tentailment\n",
            1,
        ),
        (
            "stsbenchmark",
            Part::Test,
            "g\tf\ty\ti\t2.5\tA\tB\ng\tf\ty\ti\t5\tA\tB\tl\tl\n",
            2,
        ),
        ("stsbenchmark-zh", Part::Train, "A\tB\t5\n", 1),
        (
            "ocnli",
            Part::Validation,
            "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"-\"}\n{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"neutral\"}\n",
            1,
        ),
        ("conll2003", Part::Train, CONLL, 3),
        (
            "resume-ner",
            Part::Train,
            "\u{9ad8} B-NAME\n\u{52c7} E-NAME\n\u{ff1a} O\n",
            1,
        ),
        ("squad", Part::Train, &squad(NEW), 1),
        (
            "swag",
            Part::Test,
            ",sent1,sent2,ending0,ending1\n0,A,B,c,d\n",
            1,
        ),
    ] {
        let format = Preset::from_name(name).unwrap().format(part);
        let report = format.check(file(text).path(), BadRows::Fail).unwrap();
        assert_eq!(report.examples, examples, "{name}");
    }
    let mrpc = Preset::from_name("mrpc").unwrap();
    let unlabelled = "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t7\tA\tB\n";
    let file = file(unlabelled);
    let error = mrpc
        .format(Part::Train)
        .check(file.path(), BadRows::Skip)
        .unwrap_err();
    assert!(error.to_string().contains("no column `Quality`"), "{error}");
    assert_eq!(mrpc.metrics().last(), Some(&"combined_score"));
}
