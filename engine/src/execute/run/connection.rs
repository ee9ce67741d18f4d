//! By which connection a step goes: what it says itself of how its host is reached, and as whom. What it says is kept as a
//! text, so that steps that say the same are seen to go by one connection before any route is worked out.

use std::fmt::Write as _;
use std::sync::Arc;

use trueup_modules::module::Place;

use super::Run;
use super::host::Planned;
use crate::compile::{Program, Step};
use crate::execute::fleet::{Line, Route};
use crate::execute::vars::Layers;
use crate::playbook::Field;
use crate::template::is_template;
use crate::value::Value;

/// The beginnings of the names of variables that say how a host is reached.
const CONNECTION: [&str; 9] = [
    "ansible_connection",
    "ansible_host",
    "ansible_password",
    "ansible_port",
    "ansible_private_key_file",
    "ansible_remote_tmp",
    "ansible_ssh_",
    "ansible_timeout",
    "ansible_user",
];

/// What a step says of its connection, empty where it says nothing. What a template in it comes to is not known: then no
/// other step says the same.
pub(super) fn of(step: &Step, program: &Program, layers: &Layers) -> Arc<str> {
    let mut said = String::new();
    let mut sure = true;
    let mut text = |name: &str, text: &str, known: bool| {
        sure &= known;
        let _ = writeln!(said, "{name}={text}");
    };
    let texts = [
        ("connection", step.inherited(program, |common| &common.connection)),
        ("remote_user", step.inherited(program, |common| &common.remote_user)),
    ];
    for (name, field) in texts {
        if let Some(field) = field {
            text(name, field.written(), matches!(field, Field::Known(_)));
        }
    }
    match step.inherited(program, |common| &common.port) {
        Some(Field::Known(port)) => text("port", &port.to_string(), true),
        Some(Field::Template(port)) => text("port", &port.text, false),
        None => {}
    }
    for (name, value) in layers.strong.iter().chain(&layers.own).chain(&layers.weak).flat_map(|layer| layer.iter()) {
        if CONNECTION.iter().any(|begins| name.starts_with(begins)) {
            let plain = matches!(value, Value::Str(text) if !is_template(text)) || matches!(value, Value::Int(_));
            text(name, &format!("{value:?}"), plain);
        }
    }
    if !sure {
        let _ = write!(said, "step {}", step.id);
    }
    said.into()
}

impl Run {
    /// Whether a step goes by another connection than what is planned and not concluded.
    pub(super) fn goes_elsewhere(&self, at: usize, index: usize) -> bool {
        let step = &self.steps()[index];
        let asks = |step: &Step| step.entry.place == Place::Host;
        if !asks(step) {
            return false;
        }
        let last = self.hosts[at].planned.iter().rev().map(|planned| &self.steps()[planned.step]);
        let last = last.filter(|step| asks(step)).map(|step| self.scope(step)).next();
        last.is_some_and(|last| last.connection != self.scope(step).connection)
    }

    /// Learns who a host is logged in as by a step's connection: becoming that user is nothing. Yields the way there, if it was
    /// not known.
    pub(super) fn log_in(&mut self, at: usize, index: usize) -> Option<Route> {
        let step = &self.steps()[index];
        let connection = Arc::clone(&self.scope(step).connection);
        let known = self.hosts[at].login.as_ref().is_some_and(|(of, _)| *of == connection);
        if known || step.entry.place != Place::Host {
            return None;
        }
        let route = self.route(&self.hosts[at].name, index).ok();
        self.hosts[at].login = Some((connection, route.as_ref().and_then(|route| route.login.clone())));
        route
    }
    /// Begins to connect to a host that is about to be asked something, by a way that is new, while it is worked out what else.
    pub(super) fn knock(&mut self, at: usize, planned: &Planned, route: &mut Option<Route>) {
        if planned.solo || self.dense || planned.open().next().is_none() {
            return;
        }
        let Some(route) = route.take() else { return };
        let slot = self.connections.slot(&self.hosts[at].name, Some(&route));
        let opener = self.connections.opener();
        // Where it is taken, somebody is about to connect.
        if let Ok(mut line) = slot.try_lock_owned()
            && matches!(*line, Line::Down)
        {
            tokio::spawn(async move { *line = Line::Early(opener.connect(&route).await) });
        }
    }
}
