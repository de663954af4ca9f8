//! What tests share: real servers started for them, and a builder that reads like the feature.

pub mod story;
