//! Building blocks of an encoder, one concept per file, and the weights that they start from.

mod activation;
mod attention;
mod embeddings;
mod encoder;
mod init;
mod pooler;

pub use activation::{GeluTanhName, HiddenAct, SiluName};
pub use attention::{BertAttention, BertResidual, BertSelfAttention};
pub use embeddings::BertEmbeddings;
pub use encoder::{BertEncoder, BertEncoderOutput, BertIntermediate, BertLayer, Keep};
pub use init::BertInit;
pub use pooler::BertPooler;
