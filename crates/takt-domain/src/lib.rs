//! The rules: what may happen, and what it means; pure.
