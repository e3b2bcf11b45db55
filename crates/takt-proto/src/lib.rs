//! The wire: generated messages and services, and their translation.
