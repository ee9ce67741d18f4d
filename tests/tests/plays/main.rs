//! Plays run from end to end in one process, on hosts that are directories: one binary, so that it is linked once.

mod chain;
mod check_mode;
mod conformance;
mod convergence;
mod errors;
mod flow;
mod graph;
mod hosts;
mod jobs;
mod lanes;
mod linear;
mod needs;
mod prompts;
mod strategy;
mod tree;
mod variables;
