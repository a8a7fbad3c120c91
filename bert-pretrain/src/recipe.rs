//! Numbers of published pretraining runs, by the recipe that their optimizer comes from.

use bert_core::training::Recipe;

/// Peak learning rate of the recipe's own pretraining runs.
pub fn peak_learning_rate(recipe: Recipe) -> f64 {
    match recipe {
        Recipe::Google | Recipe::HuggingFace => 1e-4,
        Recipe::Nvidia => 6e-3,
    }
}

/// Number added to that of the predictions which the masked-LM loss is divided by.
pub fn loss_epsilon(recipe: Recipe) -> f64 {
    match recipe {
        Recipe::Google => 1e-5,
        Recipe::HuggingFace | Recipe::Nvidia => 0.0,
    }
}
