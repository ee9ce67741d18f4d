//! The connection layer against an SSH server inside the test.

mod bootstrap;
mod login;
mod server;
