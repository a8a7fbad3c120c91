//! Pairs and masks made anew in every pass over the documents (RoBERTa §4.1, "dynamic masking").

use std::sync::Arc;

use bert_core::tokenizer::{BertTokenizer, Frames};
use rand::seq::SliceRandom;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Cursor, InstanceStream};
use crate::corpus::DocumentSource;
use crate::instances::{
    Instance, MaskVocabulary, MaskingOptions, PairOptions, mask_tokens, pairs_from_document, stream,
};
use crate::{Error, Result};

/// Options of instances made out of documents.
#[derive(Clone, Debug)]
pub struct DynamicOptions {
    /// Segment pairs.
    pub pairs: PairOptions,
    /// Masks.
    pub masking: MaskingOptions,
    /// Decides order, pairs and masks.
    pub seed: u64,
}

/// Instances out of documents, shuffled in blocks.
///
/// A pass visits all documents in an order of its own. Instances are made for a block of documents at a time, on all cores,
/// and shuffled within it; every document has random numbers of its own, so neither the number of threads nor the place
/// where a run was taken up again changes anything.
pub struct DynamicInstances<S: ?Sized> {
    documents: Arc<S>,
    vocabulary: MaskVocabulary,
    frames: Frames,
    options: DynamicOptions,
    cursor: Cursor,
    /// The documents in the order of the current pass.
    order: Vec<u32>,
    block: Vec<Instance>,
    /// Start of the next block in `order`.
    next_block: u64,
}

/// Instances in a block, at least; it ends with a whole number of document groups.
const BLOCK: usize = 8192;
/// Documents whose instances are made side by side.
const GROUP: usize = 64;
/// Names of random streams, apart from those of documents.
const ORDER: u64 = u64::MAX;
const SHUFFLE: u64 = u64::MAX - 1;

impl<S: DocumentSource + Send + ?Sized> DynamicInstances<S> {
    /// A stream that stands at `cursor`; the default cursor is the beginning.
    ///
    /// # Errors
    /// [`Error::NoInstances`] if there is no document, and what reading the first ones can cause.
    pub fn new(
        documents: Arc<S>,
        tokenizer: &BertTokenizer,
        options: DynamicOptions,
        cursor: Cursor,
    ) -> Result<Self> {
        options.pairs.check()?;
        options.masking.check()?;
        let mut instances = Self {
            documents,
            vocabulary: MaskVocabulary::new(tokenizer)?,
            frames: tokenizer.frames().clone(),
            options,
            cursor,
            order: Vec::new(),
            block: Vec::new(),
            next_block: cursor.block,
        };
        if instances.documents.is_empty() {
            return Err(Error::NoInstances);
        }
        instances.order_epoch();
        instances.fill()?;
        Ok(instances)
    }

    fn order_epoch(&mut self) {
        let count = u32::try_from(self.documents.len()).expect("fewer than 2^32 documents");
        self.order = (0..count).collect();
        let mut random = stream(self.options.seed, &[self.cursor.epoch, ORDER]);
        self.order.shuffle(&mut random);
    }

    /// Makes the block that begins at `cursor.block`.
    fn fill(&mut self) -> Result<()> {
        let mut next = self.cursor.block as usize;
        self.block.clear();
        while self.block.len() < BLOCK && next < self.order.len() {
            let group = &self.order[next..(next + GROUP).min(self.order.len())];
            next += group.len();
            let made: Vec<Result<Vec<Instance>>> = group
                .to_vec()
                .into_par_iter()
                .map(|document| self.instances_of(document))
                .collect();
            for instances in made {
                self.block.extend(instances?);
            }
        }
        self.next_block = next as u64;
        let Cursor { epoch, block, .. } = self.cursor;
        self.block
            .shuffle(&mut stream(self.options.seed, &[epoch, SHUFFLE, block]));
        Ok(())
    }

    fn instances_of(&self, document: u32) -> Result<Vec<Instance>> {
        let mut random = stream(self.options.seed, &[self.cursor.epoch, u64::from(document)]);
        let DynamicOptions { pairs, masking, .. } = &self.options;
        let next_sentence = pairs.next_sentence;
        let cut = pairs_from_document(
            &*self.documents,
            document as usize,
            pairs,
            self.frames.special_token_count(next_sentence),
            &mut random,
        )?;
        Ok(cut
            .into_iter()
            .map(|pair| {
                let mask = |ids: &[u32]| mask_tokens(ids, &self.vocabulary, masking, &mut random);
                Instance::masked(&pair, &self.frames, next_sentence, mask)
            })
            .collect())
    }
}

impl<S: DocumentSource + Send + ?Sized> InstanceStream for DynamicInstances<S> {
    fn next_instance(&mut self) -> Result<Instance> {
        let mut passes = 0;
        while self.cursor.offset as usize >= self.block.len() {
            if self.next_block as usize >= self.order.len() {
                passes += 1;
                if passes > 2 {
                    return Err(Error::NoInstances);
                }
                self.cursor = Cursor {
                    epoch: self.cursor.epoch + 1,
                    block: 0,
                    offset: 0,
                };
                self.order_epoch();
            } else {
                self.cursor.block = self.next_block;
                self.cursor.offset = 0;
            }
            self.fill()?;
        }
        let instance = self.block[self.cursor.offset as usize].clone();
        self.cursor.offset += 1;
        Ok(instance)
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }
}
