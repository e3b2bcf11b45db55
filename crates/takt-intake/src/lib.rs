//! From the world's formats to facts: CloudEvents, JUnit XML, XES, CSV.
