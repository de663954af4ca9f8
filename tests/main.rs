//! The one integration test binary: a module a feature.

mod support;

mod tidy;
