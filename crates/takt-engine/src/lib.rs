//! The shell: mailboxes, load, decide, append, project and react.
