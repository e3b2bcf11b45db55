//! What follows from what: the intents that an event gives rise to.
