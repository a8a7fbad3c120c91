//! A demonstration far too small to show anything, from texts to results. On one device: the libraries that it is made
//! of are tested on all.

use bert::demo::text::Language;
use bert::demo::{Demo, Ending, Error, Plan, Results, Start, Subject};
use bert_core::device::test_devices;
use bert_core::stop::StopFlag;
use bert_core::training::{MetricsLog, Observers};

#[test]
fn from_texts_to_results_and_nothing_twice() {
    let (label, device) = test_devices().swap_remove(0);
    for language in [Language::English, Language::Chinese] {
        let dir = tempfile::tempdir().unwrap();
        let demo = Demo::open(dir.path(), language, 1, Plan::tiny(), device.clone()).unwrap();
        let texts = demo.write_texts().unwrap();
        let log = |demo: &Demo| {
            let mut observers = Observers::default();
            std::fs::create_dir_all(demo.pretrained()).unwrap();
            let path = demo.pretrained().join("metrics.jsonl");
            observers.push(MetricsLog::open(path, demo.first_step().unwrap()).unwrap());
            observers
        };

        let stop = StopFlag::new();
        stop.set();
        let stopped = demo.pretrain(&texts, &mut log(&demo), &stop).unwrap();
        assert_eq!((stopped, demo.is_pretrained()), (Ending::Stopped, false));

        let demo = Demo::open(dir.path(), language, 1, Plan::tiny(), device.clone()).unwrap();
        let go = StopFlag::new();
        let Ending::Finished(pretraining) = demo.pretrain(&texts, &mut log(&demo), &go).unwrap()
        else {
            panic!("{label}: stopped");
        };
        assert!(demo.is_pretrained() && (0.0..=1.0).contains(&pretraining.masked_words));

        let mut runs = Vec::new();
        let mut begin = |subject, start| runs.push((subject, start));
        let stopped = demo.fine_tune(&texts, &mut begin, &stop).unwrap();
        assert_eq!((stopped, runs.len()), (Ending::Stopped, 1));
        let Ending::Finished(tasks) = demo.fine_tune(&texts, &mut |_, _| (), &go).unwrap() else {
            panic!("{label}: stopped");
        };
        for subject in Subject::ALL {
            assert!(demo.model_dir(subject, Start::Scratch).is_dir());
        }
        let inspection = demo.inspect().unwrap();
        assert_eq!(inspection.attention.matches("<svg").count(), 4, "{label}");
        let results = Results {
            language,
            seed: 1,
            corpus: texts.counts,
            pretraining,
            tasks,
            inspection,
        };
        let table = results.table();
        for subject in Subject::ALL {
            assert!(table.contains(subject.described()[0]), "{label}: {table}");
        }
        assert!(!table.contains("NaN"), "{label}: {table}");
        assert_eq!(results.sections().len(), 3);
    }
}

#[test]
fn a_directory_with_something_else_is_refused() {
    let device = test_devices().swap_remove(0).1;
    let dir = tempfile::tempdir().unwrap();
    let open = |seed| {
        Demo::open(
            dir.path(),
            Language::English,
            seed,
            Plan::tiny(),
            device.clone(),
        )
    };
    open(1).unwrap();
    open(1).unwrap();
    assert!(matches!(open(2), Err(Error::Output { .. })));
    std::fs::remove_file(dir.path().join("demo.json")).unwrap();
    std::fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let error = open(1).err().unwrap().to_string();
    assert!(
        error.contains("not empty") && error.contains("--output"),
        "{error}"
    );
}
