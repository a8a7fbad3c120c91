//! Tensors into parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use super::report::{Ignored, LoadReport, Loading, Reshaped};
use super::tensors::StoredTensor;
use crate::error::{Error, Result};
use crate::models::{Family, names};

/// Maps the parameters of `module`, a model of `class` of transformers or of one that its parameters tell if that is empty,
/// to the tensors of the same name of ours.
pub(super) fn load<'a, M: Module>(
    tensors: impl IntoIterator<Item = (&'a String, &'a StoredTensor)>,
    family: &'static Family,
    class: &str,
    module: M,
    loading: Loading,
) -> Result<(M, LoadReport)> {
    let tensors: BTreeMap<&String, &StoredTensor> = tensors.into_iter().collect();
    let mut loader = Loader {
        tensors: &tensors,
        family,
        class,
        position: Position::default(),
        taken: Vec::new(),
        loading,
        report: LoadReport::default(),
        error: None,
    };
    let module = module.map(&mut loader);
    let Loader {
        taken,
        mut report,
        error,
        ..
    } = loader;
    if let Some(error) = error {
        return Err(error);
    }

    for (name, tensor) in &tensors {
        if taken.contains(name) {
            continue;
        }
        match names::ignorable(name) {
            Some(reason) => report.ignored.push(Ignored {
                name: tensor.info.name.clone(),
                reason,
            }),
            None => report.unexpected.push(tensor.info.name.clone()),
        }
    }
    report.sort();
    if loading == Loading::Strict && !report.missing.is_empty() {
        return Err(Error::MissingTensors {
            names: report.missing,
        });
    }
    Ok((module, report))
}

/// Position of a traversal in the module tree.
#[derive(Default)]
pub(crate) struct Position {
    path: Vec<String>,
    containers: Vec<String>,
}

impl Position {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.path.pop();
        self.containers.pop();
    }

    /// Our name of the parameter, which is that of BERT's in transformers.
    pub(crate) fn name(&self) -> String {
        names::of_path(&self.path.join("."))
    }

    /// True if the parameter is the weight of a `Linear`: PyTorch keeps it as `[d_output, d_input]`,
    /// Burn as `[d_input, d_output]`.
    pub(crate) fn is_transposed(&self) -> bool {
        let in_linear = self
            .containers
            .iter()
            .rev()
            .find(|container| container.starts_with("Struct:"))
            .is_some_and(|container| container == "Struct:Linear");
        in_linear && self.path.last().is_some_and(|leaf| leaf == "weight")
    }
}

struct Loader<'a> {
    tensors: &'a BTreeMap<&'a String, &'a StoredTensor>,
    family: &'static Family,
    /// The end of the name of the model's class; if not given, once a hidden layer of a classifier tells it, which comes
    /// before its outputs.
    class: &'a str,
    position: Position,
    taken: Vec<String>,
    loading: Loading,
    report: LoadReport,
    error: Option<Error>,
}

impl Loader<'_> {
    /// The values for the parameter at the current position, or why it keeps its own.
    fn values(&mut self, shape: &[usize]) -> Result<Option<Vec<f32>>> {
        let name = self.position.name();
        if self.class.is_empty() && names::is_hidden_layer(&name) {
            self.class = self.family.class_with_hidden_layer();
        }
        let key = names::in_task_model(&name);
        let name = self.family.file_name(&name, self.class);
        let Some(tensor) = self.tensors.get(&key) else {
            self.report.missing.push(name);
            return Ok(None);
        };
        self.taken.push(key);

        let transposed = self.position.is_transposed();
        let expected = match (transposed, shape) {
            (true, &[d_input, d_output]) => vec![d_output, d_input],
            _ => shape.to_vec(),
        };
        let found = &tensor.info.shape;
        if *found != expected {
            let squeezed = |shape: &[usize]| -> Vec<usize> {
                shape
                    .iter()
                    .copied()
                    .filter(|&extent| extent != 1)
                    .collect()
            };
            let difference = Reshaped {
                name: name.clone(),
                found: found.clone(),
                expected: expected.clone(),
            };
            if squeezed(found) == squeezed(&expected) {
                self.report.reshaped.push(difference);
            } else if self.loading == Loading::Partial {
                self.report.mismatched.push(difference);
                return Ok(None);
            } else {
                return Err(Error::ShapeMismatch {
                    name,
                    expected,
                    found: found.clone(),
                });
            }
        }
        let mut values = tensor.read_f32()?;
        if transposed {
            values = transpose(&values, expected[0], expected[1]);
        }
        self.report.loaded.push(name);
        Ok(Some(values))
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.position.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.position.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        match self.values(shape.as_slice()) {
            Ok(Some(values)) => {
                let data = TensorData::new(values, shape);
                let tensor = Tensor::from_data(data, &param.lazy_device());
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Ok(None) => param,
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

/// `[rows, columns]` to `[columns, rows]`, in tiles that stay in the first-level cache.
pub(crate) fn transpose<T: Copy + Default>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    const TILE: usize = 32;
    let mut output = vec![T::default(); values.len()];
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for row in row_tile..(row_tile + TILE).min(rows) {
                for column in column_tile..(column_tile + TILE).min(columns) {
                    output[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::transpose;

    #[test]
    fn transpose_swaps_axes_beyond_one_tile() {
        let (rows, columns) = (37, 70);
        let values: Vec<usize> = (0..rows * columns).collect();
        let swapped = transpose(&values, rows, columns);
        for row in 0..rows {
            for column in 0..columns {
                assert_eq!(swapped[column * rows + row], values[row * columns + column]);
            }
        }
    }
}
