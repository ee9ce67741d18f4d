//! What Trueup can do to a host.
//!
//! A module looks at a host and returns a plan: the edits that would bring the host to the desired state. It cannot
//! change anything itself; one interpreter performs edits, so a preview is the same code with the interpreter left out.
//! In reading order:
//!
//! - [`module`]: what a module is, and the registry's entry for one; [`builtin`]: the modules.
//! - [`host`]: what a module may do: look. [`facts`]: the users, packages and units it can ask for.
//!   [`digest`]: checksums.
//! - [`plan`] and [`edit`]: what it returns. [`param`]: types for parameters; [`secret`]: text that is never shown.
//!   `fit`: how what a playbook says becomes parameters, which is the controller's part (the feature `manual`); `take`: how
//!   they become a module, which is the agent's.
//! - [`sql`] and [`sqlstate`]: how a PostgreSQL server is asked, and what it says when it refuses.
//! - [`system`]: what the interpreter may do: touch. [`interpret`]: the interpreter. [`wait`]: what it can wait for.
//! - [`preview`]: a host as it would be after edits that were not made.
//! - [`local`]: this machine; [`fake`]: a host in memory; [`proxy`]: this machine as another user.
//! - `attributes`: what every module tells of the file that it is about.
//! - `escalation`: how one becomes another user.
//! - [`wire`]: frames and messages between controller and agent; [`agent`]: the loop that serves them.
//! - [`job`]: tasks that go on without an agent.
//!
//! Invariants of absence: nothing here names tokio; nothing but [`local`] touches the machine; no module holds a
//! [`system::System`]; no file under `builtin` contains the word "check mode".

pub mod agent;
mod attributes;
pub mod builtin;
pub mod digest;
pub mod edit;
pub mod error;
mod escalation;
mod expand;
pub mod facts;
pub mod fake;
#[cfg(feature = "manual")]
pub mod fit;
pub mod host;
pub mod interpret;
pub mod job;
pub mod local;
pub mod module;
pub mod param;
pub mod plan;
pub mod preview;
pub mod proxy;
pub mod secret;
pub mod sql;
pub mod sqlstate;
pub mod system;
mod take;
pub mod wait;
pub mod wire;
