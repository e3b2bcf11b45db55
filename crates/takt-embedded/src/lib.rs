//! The ports on files, for one machine: segment log, dead letters, leases.
