//! BERT on every GPU and CPU: the library behind the command `bert`.

pub mod demo;

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
