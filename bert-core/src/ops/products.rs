//! Float type of matrix products on processors, for a stretch of work (mixed precision, Micikevicius et al. 2018).

use std::cell::Cell;

/// Float type to which the operands of matrix products are rounded, on devices that run our kernels; sums are in f32, and so is
/// everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Products {
    /// f32: nothing is rounded.
    #[default]
    Float,
    /// bf16.
    BFloat16,
}

thread_local! {
    static PRODUCTS: Cell<Products> = const { Cell::new(Products::Float) };
}

/// Runs `work` with products of linear layers in this type, those that this thread asks for and those of their gradients.
pub(crate) fn with_products<R>(products: Products, work: impl FnOnce() -> R) -> R {
    struct Restore(Products);
    impl Drop for Restore {
        fn drop(&mut self) {
            PRODUCTS.set(self.0);
        }
    }
    let _restore = Restore(PRODUCTS.replace(products));
    work()
}

/// The type of the products that this thread asks for.
#[cfg(feature = "kernels")]
pub(super) fn products() -> Products {
    PRODUCTS.get()
}

#[cfg(all(test, feature = "kernels"))]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_before_comes_back_even_from_a_panic() {
        let inner = || {
            assert_eq!(products(), Products::BFloat16);
            with_products(Products::Float, || assert_eq!(products(), Products::Float));
            assert_eq!(products(), Products::BFloat16);
            panic!("as asked");
        };
        let outcome = std::panic::catch_unwind(|| with_products(Products::BFloat16, inner));
        assert!(outcome.is_err());
        assert_eq!(products(), Products::Float);
    }
}
