//! For tests: given/when/then, in-memory ports, fakes, contract suites.
