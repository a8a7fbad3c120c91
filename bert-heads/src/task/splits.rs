//! Training and evaluation examples.

use crate::datasets::Dataset;

/// Examples of a task, to train on and to choose the best weights by.
#[derive(Clone, Debug)]
pub struct Splits<T, V = T> {
    /// Training set.
    pub train: Dataset<T>,
    /// Validation set, to choose the best weights by.
    pub validation: Option<Dataset<V>>,
}

impl<T, V> Splits<T, V> {
    /// Examples to train on alone.
    pub fn of_train(train: Dataset<T>) -> Self {
        Self {
            train,
            validation: None,
        }
    }
}
