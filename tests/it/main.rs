//! The end-to-end tests of the pipeline.
