//! Angles of rotary position embeddings (Su et al. 2021).

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::ops::RotaryAngles;

/// Cosines and sines of the angles of every position: constants, not weights.
#[derive(Module, Debug)]
pub struct RotaryTable {
    /// `[max_position, head_size / 2]`
    cos: Tensor<2>,
    /// `[max_position, head_size / 2]`
    sin: Tensor<2>,
}

impl RotaryTable {
    /// The angles `position / scale · theta^(-2i / head_size)` of `config`, in f32 as models are trained with them.
    pub(super) fn new(theta: f64, config: &BertConfig, device: &Device) -> Self {
        let (rows, half) = (config.max_position_embeddings, config.head_size() / 2);
        let scale = config.rotary.map_or(1.0, |rotary| rotary.scale) as f32;
        let frequencies: Vec<f32> = (0..half)
            .map(|at| theta.powf(-(at as f64) / half as f64) as f32 / scale)
            .collect();
        let table = |of: fn(f64) -> f64| {
            let turns = (0..rows).flat_map(|row| {
                let frequencies = frequencies.iter();
                frequencies.map(move |frequency| f64::from(row as f32 * frequency))
            });
            let values: Vec<f32> = turns.map(|turn| of(turn) as f32).collect();
            Tensor::from_data(TensorData::new(values, [rows, half]), device)
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// The angles of the tokens in `layout`, of rows of `seq` if they are padded.
    pub(super) fn angles(&self, layout: &TokenLayout, seq: usize) -> RotaryAngles {
        let positions = layout.positions();
        let [cos, sin] = [&self.cos, &self.sin].map(|table| match &positions {
            Some(positions) => table.clone().select(0, positions.clone()),
            None => table.clone().narrow(0, 0, seq),
        });
        RotaryAngles { cos, sin }
    }
}
