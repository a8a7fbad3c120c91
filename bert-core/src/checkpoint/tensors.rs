//! Named tensors of a checkpoint on disk, read one at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use serde_json::Value;

use crate::error::{Error, Result};

/// Metadata of a tensor in a checkpoint, known without reading its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the file.
    pub name: String,
    /// Element type as safetensors spells it: "F32", "F16", "BF16", "I64", …
    pub dtype: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// The file that holds it.
    pub file: PathBuf,
}

/// A tensor that can be read.
pub(crate) struct StoredTensor {
    pub(crate) info: TensorInfo,
    read: Box<dyn Fn() -> Result<Vec<u8>> + Send + Sync>,
}

impl StoredTensor {
    /// The values as f32, row-major.
    pub(crate) fn read_f32(&self) -> Result<Vec<f32>> {
        let bytes = (self.read)()?;
        let values = match self.info.dtype.as_str() {
            "F32" => chunks(&bytes, f32::from_le_bytes),
            "F64" => chunks(&bytes, |b| f64::from_le_bytes(b) as f32),
            "F16" => chunks(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            "BF16" => chunks(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            other => {
                return Err(Error::UnsupportedDType {
                    name: self.info.name.clone(),
                    found: other.to_owned(),
                });
            }
        };
        Ok(values)
    }

    /// The values as f64, row-major; integers too.
    pub(crate) fn read_f64(&self) -> Result<Vec<f64>> {
        let bytes = (self.read)()?;
        match self.info.dtype.as_str() {
            "F64" => Ok(chunks(&bytes, f64::from_le_bytes)),
            "I64" => Ok(chunks(&bytes, |b| i64::from_le_bytes(b) as f64)),
            _ => Ok(self.read_f32()?.into_iter().map(f64::from).collect()),
        }
    }

    /// True if another tensor has this one's type, shape and values.
    pub(crate) fn is_equal_to(&self, other: &Self) -> Result<bool> {
        Ok(self.info.shape == other.info.shape
            && self.info.dtype == other.info.dtype
            && (self.read)()? == (other.read)()?)
    }
}

fn chunks<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| convert(*chunk)).collect()
}

/// The files a weight can be in, in order of preference (transformers `modeling_utils.py`).
const CANDIDATES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Opens the weights of a model directory.
pub(crate) fn open_directory(dir: &Path) -> Result<Vec<StoredTensor>> {
    let Some(name) = CANDIDATES.into_iter().find(|name| dir.join(name).is_file()) else {
        return Err(Error::FileMissing {
            dir: dir.to_owned(),
            looked_for: CANDIDATES.map(str::to_owned).to_vec(),
            remedy: "a model directory needs one of them; convert TensorFlow or Flax weights first"
                .to_owned(),
        });
    };
    let path = dir.join(name);
    if name.ends_with(".index.json") {
        open_shards(dir, &path)
    } else {
        open_file(&path)
    }
}

/// Opens one safetensors file or PyTorch checkpoint.
pub(crate) fn open_file(path: &Path) -> Result<Vec<StoredTensor>> {
    if path.extension().is_some_and(|end| end == "safetensors") {
        open_safetensors(path)
    } else {
        open_pytorch(path)
    }
}

fn open_shards(dir: &Path, index: &Path) -> Result<Vec<StoredTensor>> {
    const FORMAT: &str = "shard index";
    let text = std::fs::read_to_string(index).map_err(|e| Error::io("read", index, e))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|e| Error::malformed(index, FORMAT, e))?;
    let map = value
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| Error::malformed(index, FORMAT, "it has no object `weight_map`"))?;

    // Shard file to the tensors the index promises in it.
    let mut promised: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|file| !file.contains(['/', '\\']));
        let file = file.ok_or_else(|| {
            Error::malformed(
                index,
                FORMAT,
                format!("`weight_map.{tensor}` is not a file name in the same directory"),
            )
        })?;
        promised.entry(file).or_default().push(tensor);
    }

    let mut tensors = Vec::new();
    for (file, names) in promised {
        let path = dir.join(file);
        let shard = open_file(&path)?;
        if let Some(absent) = names
            .iter()
            .find(|name| shard.iter().all(|tensor| tensor.info.name != **name))
        {
            return Err(Error::malformed(
                &path,
                "checkpoint shard",
                format!(
                    "{} promises tensor `{absent}` in it, but it is not there",
                    index.display()
                ),
            ));
        }
        tensors.extend(shard);
    }
    Ok(tensors)
}

fn open_safetensors(path: &Path) -> Result<Vec<StoredTensor>> {
    const FORMAT: &str = "safetensors";
    const LENGTH_BYTES: u64 = 8;
    let malformed = |reason: String| Error::malformed(path, FORMAT, reason);
    let io = |error| Error::io("read", path, error);

    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size < LENGTH_BYTES {
        return Err(malformed(format!("it has only {size} bytes")));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length).map_err(io)?;
    let header_length = u64::from_le_bytes(length);
    let data_start = LENGTH_BYTES.saturating_add(header_length);
    if data_start > size {
        return Err(malformed(format!(
            "its header claims {header_length} bytes, but the file has {size}; it is truncated or not safetensors"
        )));
    }
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(io)?;
    let metadata: safetensors::tensor::Metadata =
        serde_json::from_slice(&header).map_err(|e| malformed(format!("bad header: {e}")))?;
    let data_end = data_start.saturating_add(metadata.data_len() as u64);
    if data_end != size {
        return Err(malformed(format!(
            "the tensors end at byte {data_end}, but the file has {size} bytes; it is {}",
            if size < data_end {
                "truncated: download it again"
            } else {
                "damaged"
            }
        )));
    }

    let file = Arc::new(std::sync::Mutex::new(file));
    let mut tensors = Vec::new();
    for (name, tensor) in metadata.tensors() {
        let (start, end) = tensor.data_offsets;
        let expected = tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
        if end.checked_sub(start) != Some(expected) {
            return Err(malformed(format!(
                "tensor `{name}` of shape {:?} does not fill its bytes {start}..{end}",
                tensor.shape
            )));
        }
        let (file, path) = (Arc::clone(&file), path.to_owned());
        tensors.push(StoredTensor {
            info: TensorInfo {
                name,
                dtype: format!("{:?}", tensor.dtype),
                shape: tensor.shape.clone(),
                file: path.clone(),
            },
            read: Box::new(move || {
                let mut bytes = vec![0; end - start];
                let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                file.seek(SeekFrom::Start(data_start + start as u64))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|error| Error::io("read", &path, error))?;
                Ok(bytes)
            }),
        });
    }
    tensors.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    Ok(tensors)
}

fn open_pytorch(path: &Path) -> Result<Vec<StoredTensor>> {
    const FORMAT: &str = "PyTorch checkpoint";
    File::open(path).map_err(|error| Error::io("read", path, error))?;
    let reader = pytorch_reader::PytorchReader::new(path)
        .map_err(|error| Error::malformed(path, FORMAT, error))?;
    let mut tensors: Vec<_> = reader
        .into_tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let path = path.to_owned();
            StoredTensor {
                info: TensorInfo {
                    name,
                    dtype: format!("{:?}", tensor.dtype()),
                    shape: tensor.shape().to_vec(),
                    file: path.clone(),
                },
                read: Box::new(move || {
                    tensor
                        .read()
                        .map_err(|error| Error::io("read", &path, error))
                }),
            }
        })
        .collect();
    if tensors.is_empty() {
        return Err(Error::malformed(path, FORMAT, "it holds no tensors"));
    }
    tensors.sort_by(|a, b| a.info.name.cmp(&b.info.name));
    Ok(tensors)
}
