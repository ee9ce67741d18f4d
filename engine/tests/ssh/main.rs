//! The connection layer against an SSH server inside the test.

mod login;
mod server;
