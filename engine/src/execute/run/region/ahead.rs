//! Planning ahead in a region, and closing what nothing is left of.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::Run;
use super::super::ahead::MAX_BATCH;
use super::super::host::Planned;
use super::course::Course;
use crate::execute::blocks::Control;
use crate::schedule::Unit;

/// How far a node could be planned.
enum Walk {
    /// To its end.
    All,
    /// It has failed, and nothing of it is left.
    Failed,
    /// Another host comes first.
    Waits,
    /// To where nothing more can be planned.
    Stops,
}

/// What becomes of a step when it is its turn.
enum Turn {
    Runs,
    Passes,
    Waits,
}

impl Run {
    /// Plans ahead what of a host's nodes has nothing to wait for.
    pub(super) fn build_in(&mut self, course: &mut Course, at: usize) {
        let region = Arc::clone(&course.region);
        let current = course.ways[at].current.as_ref().map(|(key, ..)| *key);
        let first = region.nodes.iter().position(|node| Some(node.key) == current);
        let others = (0..region.nodes.len()).filter(|node| Some(*node) != first);
        let mut walked = BTreeSet::new();
        for node in first.into_iter().chain(others) {
            let unit = Unit { node, host: at };
            if !course.schedule.ready(unit, &walked) {
                continue;
            }
            match self.walk(course, unit) {
                Walk::All => drop(walked.insert(node)),
                Walk::Waits => {}
                Walk::Stops => break,
                Walk::Failed => {
                    walked.insert(node);
                    break;
                }
            }
        }
        course.ways[at].walked = walked;
    }

    /// Plans what is left of a node.
    fn walk(&mut self, course: &Course, unit: Unit) -> Walk {
        let at = unit.host;
        let node = &course.region.nodes[unit.node];
        let (from, mut control) = course.begin(unit);
        let mut route = None;
        for index in node.steps[from..].iter().copied() {
            let step = Arc::clone(&self.steps()[index]);
            if let Some(planned) = self.hosts[at].planned.iter().find(|planned| planned.step == index) {
                control.admits(&step);
                if planned.solo || step.turns() {
                    return Walk::Stops;
                }
                continue;
            }
            match self.turn(course, unit, index, &mut control) {
                Turn::Passes => continue,
                Turn::Waits => return Walk::Waits,
                Turn::Runs => {}
            }
            if self.preview() && self.may_be_notified(at, index)
                || self.reads_what_is_planned(at, index)
                || self.goes_elsewhere(at, index)
            {
                return Walk::Stops;
            }
            route = self.log_in(at, index).or(route);
            let planned = self.plan_step(at, index);
            if !self.hosts[at].planned.is_empty() && (step.looks_here || planned.fails()) {
                return Walk::Stops;
            }
            self.knock(at, &planned, &mut route);
            let stops = planned.stops(&step);
            self.hosts[at].flushes(&step, &planned);
            self.hosts[at].planned.push_back(planned);
            if stops || self.hosts[at].planned.len() >= MAX_BATCH {
                return Walk::Stops;
            }
        }
        control.finish();
        if control.failed { Walk::Failed } else { Walk::All }
    }

    fn turn(&self, course: &Course, unit: Unit, index: usize, control: &mut Control) -> Turn {
        let step = &self.steps()[index];
        if !self.concerns(unit.host, index) {
            return Turn::Passes;
        }
        if step.once {
            let node = &course.region.nodes[unit.node];
            let order = &self.compiled.plays[step.play].hosts;
            let open = |name: &&String| {
                let at = self.place(name);
                at.is_some_and(|host| course.schedule.is_open(Unit { host, ..unit }))
            };
            let mine = order.iter().find(open) == Some(&self.hosts[unit.host].name);
            match course.once.contains_key(&node.key) {
                true => return Turn::Passes,
                false if !mine => return Turn::Waits,
                false => {}
            }
        }
        // In a preview, a handler waits for whatever may notify it.
        if self.preview() && step.handler.is_some() && self.may_be_notified(unit.host, index) {
            return Turn::Runs;
        }
        if self.may_run(unit.host, index, control) { Turn::Runs } else { Turn::Passes }
    }

    /// Whether a step reads what this host sets in a step that is planned and not concluded.
    fn reads_what_is_planned(&self, at: usize, index: usize) -> bool {
        let step = &self.steps()[index];
        // Not by the edges: what needs it may be listed before it.
        let written = self.hosts[at].planned.iter().flat_map(|planned| &self.steps()[planned.step].writes);
        let names: BTreeSet<&str> = written.filter(|name| step.may_read(name)).map(String::as_str).collect();
        !names.is_empty() && !self.held_off(at, index, &names)
    }

    /// Closes the nodes that nothing is left of. True if there was one.
    pub(super) async fn close_walked(&mut self, course: &mut Course, at: usize) -> bool {
        let mut any = false;
        let walked: Vec<usize> = course.ways[at].walked.iter().copied().collect();
        for node in walked {
            let unit = Unit { node, host: at };
            let planned = |planned: &Planned| course.region.nodes[node].steps.contains(&planned.step);
            let ready = course.schedule.ready(unit, &BTreeSet::new());
            if !ready || self.hosts[at].planned.iter().any(planned) || self.remains(course, unit) {
                continue;
            }
            let key = course.region.nodes[node].key;
            let (_, mut control) = course.begin(unit);
            control.finish();
            let end = if control.failed { Err(unit) } else { Ok(()) };
            let mine = course.ways[at].current.as_ref().is_some_and(|(current, ..)| *current == key);
            if mine {
                course.ways[at].current = None;
            }
            course.ways[at].walked.remove(&node);
            let once = course.region.nodes[node].steps.iter().any(|step| self.steps()[*step].once);
            let end = course.once.get(&key).copied().filter(|_| once && !mine).unwrap_or(end);
            if once && mine {
                course.once.insert(key, end);
                course.awake.extend(0..self.hosts.len());
            }
            if end.is_err() {
                // What was planned beyond it may have counted on it.
                self.hosts[at].planned.clear();
                course.ways[at].walked.clear();
            }
            let news = course.schedule.finish(unit, end);
            self.say_skipped(course, news).await;
            any = true;
        }
        any
    }

    /// Whether anything is left to do, or to wait for, of a node of which nothing is planned.
    fn remains(&self, course: &Course, unit: Unit) -> bool {
        let (from, mut control) = course.begin(unit);
        let left = &course.region.nodes[unit.node].steps[from..];
        left.iter().any(|index| !matches!(self.turn(course, unit, *index, &mut control), Turn::Passes))
    }
}
