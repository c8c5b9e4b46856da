//! Holds no code: the end-to-end tests of the pipeline are in `it/`.
