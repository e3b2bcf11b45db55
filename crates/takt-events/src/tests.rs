//! The language of the log as sentences.
