//! Helpers of the tests that look at the whole house from outside.
