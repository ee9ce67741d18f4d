//! The engine: from YAML to hosts that are as it says.

pub mod cli;
pub mod command;
pub mod compile;
pub mod connect;
pub mod diagnostic;
pub mod event;
pub mod execute;
pub mod inventory;
pub mod playbook;
pub mod remote;
pub mod report;
pub mod schedule;
pub mod settings;
pub mod source;
pub mod template;
pub mod value;
pub mod vars;
pub mod vault;
pub mod yaml;
