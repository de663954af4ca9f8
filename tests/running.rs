//! A plan while it runs.
