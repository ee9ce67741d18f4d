//! What is told of a region beside its results, and what it leaves behind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::super::Run;
use super::course::Course;
use crate::event::{Event, TaskResult};
use crate::execute::blocks::Control;
use crate::schedule::{News, Unit};

impl Run {
    /// Says what will not be run, and why: once for each host and reason.
    pub(super) async fn say_skipped(&mut self, course: &mut Course, news: News) {
        course.awake.extend(news.woken);
        if !news.skipped.is_empty() {
            // What was one's to do once for all may be another's now.
            course.awake.extend(0..self.hosts.len());
        }
        if !course.region.graph {
            return;
        }
        let mut nodes: BTreeMap<(Unit, usize), Vec<usize>> = BTreeMap::new();
        // Of what one host does for all, the others are not told.
        for (unit, cause) in news.skipped.into_iter().filter(|(unit, cause)| unit.node != cause.node) {
            nodes.entry((cause, unit.host)).or_default().push(unit.node);
        }
        let mut told: BTreeMap<(Unit, Vec<String>), Vec<String>> = BTreeMap::new();
        for ((cause, at), nodes) in nodes {
            let steps =
                nodes.iter().flat_map(|node| &course.region.nodes[*node].steps).map(|step| &self.steps()[*step]);
            let tasks: Vec<String> = steps.filter(|step| step.handler.is_none()).map(|step| step.name()).collect();
            self.hosts[at].recap.skipped += tasks.len() as u64;
            told.entry((cause, tasks)).or_default().push(self.hosts[at].name.clone());
        }
        for ((cause, tasks), hosts) in told.into_iter().filter(|((_, tasks), _)| !tasks.is_empty()) {
            let needed = course.region.nodes[cause.node].steps.first().map(|step| self.steps()[*step].name());
            let on = &self.hosts[cause.host];
            let (on, lost) = (on.name.clone(), on.gone);
            self.send(Event::NotRun { hosts, tasks, needed: needed.unwrap_or_default(), on, lost }).await;
        }
    }

    /// In a preview hosts need not be told of as they come: tells what was held back, in the listed order.
    pub(in crate::execute::run) async fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        let places: HashMap<(usize, usize), usize> =
            self.steps().iter().enumerate().map(|(at, step)| ((step.play, step.id), at)).collect();
        let place = |(step, _): &(_, TaskResult)| places.get(step).copied().unwrap_or_default();
        let mut held: Vec<(usize, TaskResult)> = held.into_iter().map(|one| (place(&one), one.1)).collect();
        let order: HashMap<&str, usize> = self.hosts.iter().map(|host| host.name.as_str()).zip(0..).collect();
        held.sort_by_key(|(at, result)| (*at, order.get(result.host.as_str()).copied()));
        for (at, mut result) in held {
            Arc::make_mut(&mut result.task).step = at;
            self.announce(at, &result.task.name).await;
            self.send(Event::Result(result.into())).await;
        }
    }

    /// All have gone through: hosts of which something failed, or was not run because of that, are out.
    pub(super) async fn leave(&mut self, course: &Course) {
        for unit in course.schedule.left().filter(|unit| !course.region.nodes[unit.node].steps.is_empty()) {
            let step = course.region.nodes[unit.node].steps[0];
            let (task, host) = (self.steps()[step].name(), self.hosts[unit.host].name.clone());
            let text = format!("internal error: `{task}` was never begun on {host}, though nothing held it back");
            self.send(Event::Warning(text)).await;
        }
        let mut failed: BTreeSet<usize> = course.schedule.left().map(|unit| unit.host).collect();
        for unit in course.schedule.failed() {
            failed.insert(unit.host);
            self.hosts[unit.host].failed_in.insert(course.region.nodes[unit.node].play);
        }
        let plays: BTreeSet<usize> = course.region.nodes.iter().map(|node| node.play).collect();
        let member = |run: &Self, play: usize, at: usize| run.members[play].contains(&run.hosts[at].name);
        // Of a play that a failure has ended, all are out.
        let ended = |play: &usize| self.ended_plays.contains(play) && failed.iter().any(|at| member(self, *play, *at));
        let ended: Vec<usize> = plays.iter().copied().filter(ended).collect();
        for at in 0..self.hosts.len() {
            let last = plays.iter().rev().copied().find(|play| member(self, *play, at));
            let out = failed.contains(&at) || ended.iter().any(|play| member(self, *play, at));
            let host = &mut self.hosts[at];
            host.planned.clear();
            host.built = host.built.max(course.region.steps.end);
            if last.is_some() {
                host.play = last;
                host.control = Control::default();
                host.control.failed = out;
            }
        }
        self.passed += 1;
    }
}
