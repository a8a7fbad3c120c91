//! Every task head against float64 of transformers: logits, loss, all gradients, and through files.

mod encoders;
mod files;
mod parity;
mod reference;
