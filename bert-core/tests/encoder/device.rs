//! Devices as a program meets them; each test holds with every combination of backends.

use bert_core::Error;
use bert_core::device::{
    AdapterKind, DeviceSpec, Precision, adapters, compiled_backends, libtorch_info, set_dtype,
    test_devices, threads,
};
use burn::tensor::{DType, Tensor};

#[test]
fn every_cpu_backend_computes() {
    for (label, device) in test_devices() {
        let x = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let y = x
            .clone()
            .matmul(x.transpose())
            .try_into_vec_as::<f32>()
            .unwrap();
        assert_eq!(y, [14.0, 32.0, 32.0, 77.0], "{label}");
    }
}

#[test]
fn what_is_not_compiled_in_says_how_to_get_it() {
    for label in [
        "flex", "ndarray", "tch", "wgpu", "vulkan", "metal", "webgpu", "cuda", "rocm", "cpu",
    ] {
        let spec: DeviceSpec = label.parse().unwrap();
        assert_eq!(
            spec.is_compiled(),
            compiled_backends().contains(&spec.feature())
        );
        if !spec.is_compiled() {
            let error = spec.open().unwrap_err();
            assert!(matches!(error, Error::BackendNotCompiled { .. }), "{error}");
        }
    }
}

#[test]
fn a_device_that_nobody_has_is_an_error_and_no_panic() {
    for label in [
        "wgpu:discrete:99",
        "wgpu:virtual:99",
        "vulkan:integrated:99",
        "metal:discrete:99",
        "webgpu",
        "cuda:99",
        "rocm:99",
        "libtorch:cuda:99",
    ] {
        let spec: DeviceSpec = label.parse().unwrap();
        let error = spec.open().unwrap_err();
        let expected = match error {
            Error::DeviceNotFound { .. } => spec.is_compiled(),
            Error::BackendNotCompiled { .. } => !spec.is_compiled(),
            _ => false,
        };
        assert!(expected, "{label}: {error}");
    }
}

#[test]
fn the_default_is_listed_and_is_no_software_rasteriser() {
    let listed = adapters();
    for info in &listed {
        assert!(info.spec.is_compiled(), "{}", info.spec);
        let label = info.spec.to_string();
        assert_eq!(label.parse::<DeviceSpec>().unwrap(), info.spec);
    }
    let gpu = listed.iter().any(|info| info.kind.is_gpu());
    match DeviceSpec::default_for_build() {
        // The default of a graphics API leaves the adapter open: its label is a beginning.
        Ok(spec) => assert!(
            listed.iter().any(|info| {
                info.spec.to_string().starts_with(&spec.to_string()) && info.kind.is_gpu() == gpu
            }),
            "{spec} among {listed:?}"
        ),
        Err(error) => assert!(
            listed
                .iter()
                .all(|info| info.kind == AdapterKind::SoftwareRasteriser),
            "{error}"
        ),
    }
}

#[test]
fn a_software_rasteriser_is_used_only_when_asked_for() {
    let listed = adapters();
    for api in ["wgpu", "vulkan"] {
        let of_api = |kind: AdapterKind| {
            listed
                .iter()
                .any(|info| info.kind == kind && info.spec.feature() == api)
        };
        let gpu = listed
            .iter()
            .any(|info| info.kind.is_gpu() && info.spec.feature() == api);
        if of_api(AdapterKind::SoftwareRasteriser) && !gpu {
            let error = api
                .parse::<DeviceSpec>()
                .unwrap()
                .open()
                .unwrap_err()
                .to_string();
            assert!(error.contains("software rasteriser"), "{error}");
            assert!(error.contains(&format!("`{api}:cpu`")), "{error}");
        }
    }
}

#[test]
fn the_element_type_is_settled_once() {
    let precision = "bf16".parse::<Precision>().unwrap();
    for (label, device) in test_devices() {
        // Another test may have made a tensor already, which settles the same type.
        set_dtype(&device, &label, Precision::F32).unwrap();
        let tensor = Tensor::<1>::from_floats([1.0], &device);
        assert_eq!(tensor.dtype(), DType::F32, "{label}");
        // The same again is no error, another one is.
        set_dtype(&device, &label, Precision::F32).unwrap();
        let error = set_dtype(&device, &label, precision).unwrap_err();
        assert!(
            matches!(
                error,
                Error::DTypeSettled { .. } | Error::DTypeNotSupported { .. }
            ),
            "{label}: {error}"
        );
        assert!(error.to_string().contains("f32"), "{label}: {error}");
    }
}

#[test]
fn the_machine_is_described() {
    assert!(threads() > 0);
    assert_eq!(
        libtorch_info().is_some(),
        compiled_backends().contains(&"tch")
    );
}
