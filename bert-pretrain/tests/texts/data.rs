//! Instances in training order: repeatable, complete, and taken up again where they were left.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bert_core::tokenizer::BertTokenizer;
use bert_pretrain::Error;
use bert_pretrain::corpus::{DocumentSource, TokenizedDocument};
use bert_pretrain::data::{
    Cursor, DynamicInstances, DynamicOptions, InstanceStream, Stage, Updates, UpdatesOptions,
    evaluation_batches,
};
use bert_pretrain::instances::{Instance, MaskingOptions, PairOptions};
use bert_pretrain::objective::PreTrainingBatch;

/// Documents of which every token says where it comes from.
struct Documents(Vec<TokenizedDocument>);

impl DocumentSource for Documents {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn document(&self, index: usize) -> bert_pretrain::Result<TokenizedDocument> {
        Ok(self.0[index].clone())
    }
}

/// `count` documents of four sentences of five tokens; document `n` is made of the token `20 + n`.
fn documents(count: u32) -> Arc<Documents> {
    let document = |n: u32| vec![vec![20 + n; 5]; 4];
    Arc::new(Documents((0..count).map(document).collect()))
}

fn tokenizer() -> BertTokenizer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/tiny-pretraining");
    BertTokenizer::from_dir(dir).unwrap()
}

fn stream(documents: &Arc<Documents>, seed: u64, cursor: Cursor) -> DynamicInstances<Documents> {
    let options = DynamicOptions {
        pairs: PairOptions {
            max_seq_length: 24,
            short_seq_probability: 0.1,
            next_sentence: true,
        },
        masking: MaskingOptions {
            probability: 0.15,
            max_predictions: 4,
            ..MaskingOptions::default()
        },
        seed,
    };
    DynamicInstances::new(Arc::clone(documents), &tokenizer(), options, cursor).unwrap()
}

fn take(stream: &mut impl InstanceStream, count: usize) -> Vec<Instance> {
    (0..count)
        .map(|_| stream.next_instance().unwrap())
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_instances_on_any_number_of_threads() {
    let documents = documents(150);
    let expected = take(&mut stream(&documents, 5, Cursor::default()), 700);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let found = pool.install(|| take(&mut stream(&documents, 5, Cursor::default()), 700));
        assert_eq!(found, expected);
    }
    let other = take(&mut stream(&documents, 6, Cursor::default()), 700);
    assert_ne!(other, expected);
}

#[test]
fn a_stream_goes_on_from_any_cursor() {
    let documents = documents(30);
    let mut whole = stream(&documents, 5, Cursor::default());
    // Several passes: the end of one and the beginning of the next are among the places.
    for _ in 0..300 {
        let cursor = whole.cursor();
        let mut resumed = stream(&documents, 5, cursor);
        assert_eq!(
            resumed.next_instance().unwrap(),
            whole.next_instance().unwrap()
        );
        assert_eq!(resumed.cursor(), whole.cursor());
    }
    assert!(whole.cursor().epoch >= 2);
}

#[test]
fn a_pass_visits_every_document_and_the_next_draws_other_masks() {
    let documents = documents(40);
    let mut instances = stream(&documents, 1, Cursor::default());
    let mut passes: [Vec<Instance>; 2] = Default::default();
    loop {
        let instance = instances.next_instance().unwrap();
        match passes.get_mut(instances.cursor().epoch as usize) {
            Some(pass) => pass.push(instance),
            None => break,
        }
    }
    for pass in &passes {
        let seen: BTreeSet<u32> = pass
            .iter()
            .map(|instance| instance.original_ids()[1])
            .collect();
        assert_eq!(seen, (20..60).collect());
    }
    assert_ne!(passes[0], passes[1]);
}

#[test]
fn updates_hold_their_batches_and_normalise_over_all_of_them() {
    let documents = documents(30);
    let options = UpdatesOptions {
        batch_size: 3,
        micro_batches: 2,
        pad_id: 0,
        pad_to: None,
    };
    let first = stream(&documents, 2, Cursor::default());
    let mut updates = Updates::new(first, options, 1, 1e-5);
    let update = updates.next().unwrap().unwrap();
    assert_eq!(update.micro_batches.len(), 2);
    let predictions: usize = update
        .micro_batches
        .iter()
        .map(|batch| batch.labels.len())
        .sum();
    for batch in &update.micro_batches {
        assert_eq!(batch.shape[0], 3);
        assert_eq!(batch.predictions, predictions as f64 + 1e-5);
        assert_eq!(batch.rows, 6.0);
    }
    let tokens: usize = update
        .micro_batches
        .iter()
        .map(PreTrainingBatch::tokens)
        .sum();
    assert_eq!(update.tokens, tokens);
    assert!(update.padded_tokens >= tokens);

    // The cursor of an update begins the next one.
    let stage: Stage = serde_json::from_value(update.cursor).unwrap();
    assert_eq!(stage.stage, 1);
    let mut resumed = Updates::new(stream(&documents, 2, stage.cursor), options, 1, 1e-5);
    let (next, expected) = (
        resumed.next().unwrap().unwrap(),
        updates.next().unwrap().unwrap(),
    );
    assert_eq!(next.micro_batches, expected.micro_batches);
}

#[test]
fn rows_are_padded_and_positions_count_padding() {
    let instance = |ids: &[u32], a, positions: &[u32], labels: &[u32], random| Instance {
        ids: ids.to_vec(),
        segment_a_length: a,
        positions: positions.to_vec(),
        labels: labels.to_vec(),
        is_random_next: Some(random),
    };
    let rows = [
        instance(&[2, 9, 3, 8, 3], 3, &[1], &[7], true),
        instance(&[2, 9, 3, 4, 8, 6, 3], 3, &[3, 5], &[5, 6], false),
    ];
    let batch = PreTrainingBatch::new(&rows, 1, None);
    assert_eq!(batch.shape, [2, 7]);
    assert_eq!(batch.input_ids, [2, 9, 3, 8, 3, 1, 1, 2, 9, 3, 4, 8, 6, 3]);
    assert_eq!(
        batch.token_type_ids,
        [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    );
    assert_eq!(
        batch.attention_mask,
        [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    );
    assert_eq!(batch.positions, [1, 10, 12]);
    assert_eq!(batch.labels, [7, 5, 6]);
    assert_eq!(batch.next_sentence, [1, 0]);
    assert_eq!(PreTrainingBatch::new(&rows, 1, Some(9)).shape, [2, 9]);
}

#[test]
fn an_evaluation_is_one_pass_and_the_same_every_time() {
    let documents = documents(25);
    let batches = |limit| {
        let instances = stream(&documents, 4, Cursor::default());
        evaluation_batches(instances, 8, 0, limit).unwrap()
    };
    let all = batches(usize::MAX);
    assert_eq!(all, batches(usize::MAX));
    assert_eq!(batches(2), all[..2]);
    let rows: usize = all.iter().map(|batch| batch.shape[0]).sum();
    let mut instances = stream(&documents, 4, Cursor::default());
    take(&mut instances, rows);
    assert_eq!(instances.cursor().epoch, 0, "no row of a second pass");
    instances.next_instance().unwrap();
    assert_eq!(instances.cursor().epoch, 1, "all rows of the first");
}

#[test]
fn documents_without_an_instance_are_an_error_and_no_endless_search() {
    let empty: Arc<Documents> = Arc::new(Documents(vec![vec![]; 3]));
    let options = DynamicOptions {
        pairs: PairOptions {
            max_seq_length: 24,
            short_seq_probability: 0.0,
            next_sentence: true,
        },
        masking: MaskingOptions {
            probability: 0.15,
            max_predictions: 4,
            ..MaskingOptions::default()
        },
        seed: 0,
    };
    let made = DynamicInstances::new(empty, &tokenizer(), options, Cursor::default());
    let error = made
        .and_then(|mut instances| instances.next_instance())
        .unwrap_err();
    assert!(matches!(error, Error::NoInstances), "{error}");
}
