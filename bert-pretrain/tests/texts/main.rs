//! Corpora, vocabularies and instances by the crate's public interface.

mod corpus;
mod data;
mod instances;
mod vocab;
