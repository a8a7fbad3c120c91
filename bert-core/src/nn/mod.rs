//! The encoder and its building blocks, one concept per file, and the weights that they start from.

mod attend;
mod attention;
mod block;
mod convolution;
mod disentangled;
mod distances;
mod embeddings;
mod encoder;
mod feed_forward;
mod init;
mod model;
mod pooler;
mod positions;
mod pre_norm;
mod relative_bias;
mod residual;
mod rotary;

pub use attention::{BertAttention, BertSelfAttention};
pub use block::BertLayer;
pub use convolution::{ConvolutionKernel, TokenConvolution};
pub use disentangled::{PositionAttention, RelativeEmbeddings, RelativeRows};
pub use distances::TokenDistances;
pub use embeddings::BertEmbeddings;
pub use encoder::{BertEncoder, BertEncoderOutput, OutputOptions};
pub use feed_forward::BertIntermediate;
pub use init::BertInit;
pub use model::{BertModel, BertOutput};
pub use pooler::BertPooler;
pub use relative_bias::RelativeBias;
pub use residual::BertResidual;
pub use rotary::RotaryTable;
