//! The read models and metrics: pure folds over the log.
