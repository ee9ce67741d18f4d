//! The connection layer against an SSH server inside the test.

mod agent;
mod bootstrap;
mod login;
mod server;
