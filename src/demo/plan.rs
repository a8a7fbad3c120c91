//! Size of a demonstration.

use serde::{Deserialize, Serialize};

/// Size of a demonstration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Documents to pretrain on.
    pub documents: usize,
    /// Documents to measure pretraining with.
    pub held_out_documents: usize,
    /// Tokens of the vocabulary, at most.
    pub vocabulary: usize,
    /// Width of the model, which has two layers with two heads.
    pub hidden_size: usize,
    /// Tokens of a sequence.
    pub seq_length: usize,
    /// Sequences of a step.
    pub batch_size: usize,
    /// Steps of pretraining.
    pub steps: u64,
    /// Peak learning rate of pretraining.
    pub learning_rate: f64,
    /// Labelled reviews and sentences to fine-tune on.
    pub labelled: usize,
    /// Questions with answers to fine-tune on.
    pub questions: usize,
    /// Labelled examples of each task to test with.
    pub tested: usize,
    /// Steps of fine-tuning on reviews and on sentences; three times as many on questions.
    pub fine_tuning_steps: u64,
    /// Peak learning rate of fine-tuning.
    pub fine_tuning_rate: f64,
    /// Factor on that rate from each block to the one below it, down to the embeddings: the vectors of the names that are
    /// labelled stay close to those that are not.
    pub layer_decay: f64,
    /// Sentences that are inspected for each meaning of a word.
    #[serde(rename = "looked_at")]
    pub inspected: usize,
}

impl Default for Plan {
    /// Some minutes on two cores.
    fn default() -> Self {
        Self {
            documents: 10000,
            held_out_documents: 120,
            vocabulary: 1000,
            hidden_size: 64,
            seq_length: 40,
            batch_size: 16,
            steps: 5000,
            learning_rate: 3e-3,
            labelled: 64,
            questions: 256,
            tested: 400,
            fine_tuning_steps: 100,
            fine_tuning_rate: 2e-3,
            layer_decay: 0.5,
            inspected: 20,
        }
    }
}

impl Plan {
    /// Sizes for tests: too small to show anything.
    pub fn tiny() -> Self {
        Self {
            documents: 40,
            held_out_documents: 4,
            vocabulary: 300,
            hidden_size: 16,
            seq_length: 48,
            batch_size: 4,
            steps: 2,
            labelled: 4,
            questions: 6,
            tested: 4,
            fine_tuning_steps: 1,
            inspected: 2,
            ..Self::default()
        }
    }
}
