//! The language of the log: type to struct, CloudEvents JSON, upcasters, golden corpus; pure.
