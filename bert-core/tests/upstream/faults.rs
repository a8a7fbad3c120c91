//! burn#5352: a panic on the thread of a device was swallowed, and training ran on into NaN.
//!
//! In 0.22.1 whatever such a panic, or an allocation that failed, leaves unwritten is marked, and so is what would have been
//! computed from it: the first read is an error. Our own stop on a fault builds on that.

use bert_core::device::test_devices;
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::CubeBackend;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Device, Tensor};

use crate::values;

const MESSAGE: &str = "an operation that always panics";

#[backend_extension(Cube, Fusion)]
trait Panicking: Backend {
    #[fusion(dtype = input, shape = input)]
    fn panicking(input: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Panicking for CubeBackend {
    fn panicking(_input: FloatTensor<Self>) -> FloatTensor<Self> {
        panic!("{MESSAGE}");
    }
}

fn panicking(input: Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as Panicking>::panicking(input.into_dispatch()))
}

/// Those that compute on a thread of their own.
fn devices() -> impl Iterator<Item = (String, Device)> {
    let own_thread = |label: &str| {
        let api = label.split(':').next().unwrap();
        ["wgpu", "vulkan", "metal", "cuda", "rocm", "cpu"].contains(&api)
    };
    test_devices()
        .into_iter()
        .filter(move |(label, _)| own_thread(label))
}

fn ones(device: &Device) -> Tensor<1> {
    Tensor::ones([7], device)
}

#[test]
fn a_panic_on_the_devices_thread_is_an_error_where_its_result_is_read() {
    for (label, device) in devices() {
        let broken = panicking(ones(&device));
        let error = broken.clone().try_into_data().unwrap_err().to_string();
        assert!(error.contains(MESSAGE), "{label}: {error}");

        // Several launches on, and beside numbers that are right.
        let mut later = broken * 2.0;
        for _ in 0..5 {
            later = (later + ones(&device)).sum().expand([7]).tanh();
        }
        let error = later.try_into_data().unwrap_err().to_string();
        assert!(error.contains(MESSAGE), "{label}: {error}");

        assert_eq!(
            values(ones(&device) + 1.0),
            [2.0; 7],
            "{label}: what is not computed from it"
        );
    }
}

#[test]
fn an_allocation_beyond_the_device_is_an_error_where_its_result_is_read() {
    for (label, device) in devices() {
        let huge = Tensor::<1>::ones([1usize << 38], &device) * 2.0; // 1 TiB
        let some = huge.narrow(0, 12345, 7);
        let found = some.clone().try_into_data();
        assert!(found.is_err(), "{label}: {found:?}");
        let found = (some + ones(&device)).sum().try_into_data();
        assert!(found.is_err(), "{label}: {found:?}");

        assert_eq!(
            values(ones(&device) + 1.0),
            [2.0; 7],
            "{label}: what is not computed from it"
        );
    }
}
