//! The sled-backed keeper of projections; disposable things only.
