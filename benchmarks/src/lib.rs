//! Throughput of BERT on every backend, measured side by side.
//!
//! Nothing is here yet; how far backends agree on the numbers is shown by `bert compare`.
