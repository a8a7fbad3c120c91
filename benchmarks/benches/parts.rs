//! The parts of a pass and of its data, timed one by one: `cargo bench --workspace --bench parts`.
//!
//! `BERT_DEVICE` chooses the device. Shapes are those of BERT base over 8 sequences of 128 tokens.

use bert_core::batch::{BertBatcher, plan_batches};
use bert_core::config::{BertConfig, BertSize, BertVocabulary};
use bert_core::device::{Device, DeviceSpec};
use bert_core::nn::BertInit;
use bert_core::ops::{self, Activation, AttentionForm};
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TokenizerOptions};
use bert_heads::losses::cross_entropy;
use bert_heads::tasks::masked_lm::BertLmPrediction;
use bert_pretrain::instances::{MaskVocabulary, MaskingOptions, mask_tokens, stream};
use burn::tensor::{Bool, Distribution, Int, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;

/// English and code, as it comes.
const TEXT: &str = include_str!("../../docs/pretraining.md");

const BATCH: usize = 8;
const SEQ: usize = 128;
/// Masked tokens of a batch.
const PREDICTIONS: usize = 160;

fn main() {
    divan::main();
}

fn device() -> Device {
    let spec = DeviceSpec::default_device().expect("a device for this build");
    spec.open().expect("the device opens")
}

fn config() -> BertConfig {
    BertConfig::preset(BertSize::Base, BertVocabulary::Uncased)
}

fn tokenizer() -> BertTokenizer {
    let vocab = include_str!("../../bert-core/fixtures/tokenizer/vocab.txt");
    BertTokenizer::from_vocab(
        vocab.lines().map(String::from),
        &TokenizerOptions::default(),
    )
    .expect("the vocabulary of the fixtures")
}

fn lines() -> Vec<&'static str> {
    TEXT.lines()
        .filter(|line| !line.trim().is_empty())
        .collect()
}

fn encodings(tokenizer: &BertTokenizer) -> Vec<Encoding> {
    let options = EncodeOptions::truncated(SEQ);
    tokenizer
        .encode_batch(lines(), &options)
        .expect("any text has tokens")
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Runs `part` until the device is done with it.
fn time<T>(bencher: Bencher, device: &Device, part: impl Fn() -> T) {
    bencher.bench_local(|| {
        let result = part();
        device.sync().expect("the device is there");
        result
    });
}

/// Texts to token ids, on all cores; counted in texts.
#[divan::bench]
fn tokenization(bencher: Bencher) {
    let (tokenizer, lines) = (tokenizer(), lines());
    let options = EncodeOptions::truncated(SEQ);
    bencher
        .counter(ItemsCount::new(lines.len()))
        .bench_local(|| tokenizer.encode_batch(lines.iter().copied(), &options));
}

/// A sequence of 128 tokens; counted in tokens.
#[divan::bench(args = [false, true])]
fn masking(bencher: Bencher, whole_word: bool) {
    let vocabulary = MaskVocabulary::new(&tokenizer()).expect("the vocabulary of the fixtures");
    let options = MaskingOptions {
        whole_word,
        ..MaskingOptions::default()
    };
    let ids: Vec<u32> = (0..SEQ as u32).map(|place| place % 100).collect();
    let mut random = stream(0, &[]);
    bencher
        .counter(ItemsCount::new(SEQ))
        .bench_local(|| mask_tokens(&ids, &vocabulary, &options, &mut random));
}

/// Encodings by length into padded batches on the device; counted in texts.
#[divan::bench]
fn batching(bencher: Bencher) {
    let (device, tokenizer) = (device(), tokenizer());
    let encodings = encodings(&tokenizer);
    let batcher = BertBatcher::new(&tokenizer);
    let lengths: Vec<usize> = encodings.iter().map(Encoding::len).collect();
    bencher
        .counter(ItemsCount::new(encodings.len()))
        .bench_local(|| {
            for rows in plan_batches(&lengths, BATCH * SEQ) {
                let rows: Vec<_> = rows
                    .into_iter()
                    .map(|row| (encodings[row].ids(), encodings[row].type_ids()))
                    .collect();
                divan::black_box(
                    batcher
                        .batch_rows(&rows, &device)
                        .expect("rows have tokens"),
                );
            }
            device.sync().expect("the device is there");
        });
}

/// Attention of one layer from projections to context, as inference runs it.
#[divan::bench]
fn attention(bencher: Bencher) {
    let (device, config) = (device(), config());
    let shape = [BATCH, SEQ, config.hidden_size];
    let [query, key, value] = [(); 3].map(|()| random(shape, &device));
    let mask_pad = Tensor::<2, Bool>::full([BATCH, SEQ], false, &device);
    let heads = config.num_attention_heads;
    let form = AttentionForm::new(heads, config.hidden_size / heads);
    time(bencher, &device, || {
        let inputs = [query.clone(), key.clone(), value.clone()];
        ops::self_attention(inputs, mask_pad.clone(), form)
    });
}

/// LayerNorm of the hidden vectors of a batch and their residual.
#[divan::bench]
fn layer_norm(bencher: Bencher) {
    let (device, config) = (device(), config());
    let norm = BertInit::new(&config, 0, &device).layer_norm(config.hidden_size);
    let [hidden, residual] = [(); 2].map(|()| random([BATCH, SEQ, config.hidden_size], &device));
    let epsilon = config.layer_norm_eps;
    time(bencher, &device, || {
        ops::add_layer_norm(hidden.clone(), residual.clone(), &norm, epsilon)
    });
}

/// Exact GELU over the widened vectors of a batch.
#[divan::bench]
fn gelu(bencher: Bencher) {
    let (device, config) = (device(), config());
    let widened = random([BATCH, SEQ, config.intermediate_size], &device);
    time(bencher, &device, || {
        ops::activate(widened.clone(), Activation::Gelu)
    });
}

/// The masked-LM head over gathered positions and its loss, with or without the gradients.
#[divan::bench(args = [false, true])]
fn mlm_loss(bencher: Bencher, with_gradients: bool) {
    let config = config();
    let device = match with_gradients {
        true => device().autodiff(),
        false => device(),
    };
    let init = BertInit::new(&config, 0, &device);
    let head = BertLmPrediction::new(&config, &init);
    let gathered = random([PREDICTIONS, config.hidden_size], &device);
    let mut table = random([config.vocab_size, config.hidden_size], &device) * 0.02;
    if with_gradients {
        table = table.require_grad();
    }
    let labels = Tensor::<1, Int>::arange(0..PREDICTIONS as i64, &device);
    time(bencher, &device, || {
        let logits = head.forward(gathered.clone(), table.clone());
        let loss = cross_entropy(logits, labels.clone(), None).sum;
        let gradients = with_gradients.then(|| loss.backward());
        (loss, gradients)
    });
}
