//! Tests of the crate by its public interface, in one program: each further one would be linked with every backend.

mod augment;
mod crf;
mod datasets;
mod explain;
mod finetune;
mod heads;
mod hostile;
mod masked_lm;
mod metrics;
mod scoring;
mod sentence_embedding;
mod sentence_transformers;
#[path = "../../../bert-core/tests/encoder/zoo.rs"]
mod zoo;
mod zoo_page;
