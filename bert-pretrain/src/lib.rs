//! Pretraining of BERT from raw text: masked language modelling and next-sentence prediction (BERT §3.1).
//!
//! Nothing is here yet; the encoder that it will train is in `bert-core`.
