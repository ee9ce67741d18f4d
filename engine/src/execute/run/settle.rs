//! A step's end on a host: judged, registered, reported.

use std::sync::Arc;

use trueup_modules::host::Why;
use trueup_modules::plan::Data;

use super::debugger::{Next, Stand};
use super::host::{HostRun, Planned};
use super::items::{given, judge_items, looped};
use super::onward::is_near;
use super::{Pending, Run};
use crate::compile::{Section, Step};
use crate::diagnostic::nearest;
use crate::event::{CENSORED, Event, Recap, Status, TaskInfo, TaskResult, UNNAMED, WITHHELD};
use crate::execute::json::{redact, shown};
use crate::execute::judge::Judged;
use crate::execute::lower::{Item, LowerError, show, truthy};
use crate::execute::vars::HostVars;
use crate::playbook::{DebugWhen, Field};
use crate::template::Lookup;
use crate::value::{Map, Value};

/// How a step ended, for what comes after it.
pub(super) struct Ended {
    /// The step's name.
    pub(super) name: String,
    /// It failed, be it that a `rescue` makes it good.
    pub(super) failed: bool,
    /// Handlers were notified.
    pub(super) notified: bool,
    /// In a preview: it has something to do that others may see, and whether that is more than files.
    pub(super) waits: Option<bool>,
}

impl Run {
    /// Concludes what is known up to and at the frontier, step by step. True if the way ahead has changed: no host goes on
    /// before it is known again for all.
    pub(super) async fn conclude_until(&mut self, frontier: usize) -> bool {
        while !self.is_over() {
            let ready = |host: &HostRun| {
                let planned = host.planned.front()?;
                (planned.step <= frontier && planned.stop().is_none()).then_some(planned.step)
            };
            let Some(step) = self.hosts.iter().filter_map(ready).min() else { return false };
            if self.end_after_failures(step) {
                return true;
            }
            let mut turned = false;
            for at in 0..self.hosts.len() {
                if ready(&self.hosts[at]) == Some(step)
                    && let Some(planned) = self.hosts[at].planned.pop_front()
                {
                    self.calm |= planned.asked();
                    turned |= self.conclude(at, planned).await;
                }
            }
            if turned {
                return true;
            }
        }
        true
    }

    /// A step's end on a host. True if it failed or notified handlers, so that what is planned ahead no longer holds.
    pub(super) async fn conclude(&mut self, at: usize, planned: Planned) -> bool {
        let (index, step) = (planned.step, Arc::clone(&self.steps()[planned.step]));
        if self.hosts[at].play != Some(step.play) {
            self.enter(at, step.play);
        }
        let before = |pending: &&Pending| pending.step <= index;
        let why = self.pending.as_ref().filter(before).map(|pending| pending.why.clone());
        let ended = self.end(at, planned, why).await;
        if let Some(far) = ended.waits
            && self.pending.as_ref().is_none_or(|pending| far && !pending.far)
        {
            self.pending = Some(Pending { step: index, why: Why { after: ended.name }, far });
        }
        if ended.failed {
            self.spread_failure(at, &step, index);
            self.limit_failures(step.play, index);
        }
        let failed = self.hosts[at].control.failed || ended.failed;
        if failed {
            // Others, too: one of them may now be the first of those that are left.
            self.hosts.iter_mut().for_each(|host| host.forget_after(index));
        }
        let notified = ended.notified && !self.preview();
        if notified && !failed {
            self.hosts[at].forget_after(index);
        }
        failed || notified
    }

    /// Judges, registers and reports a step. In a preview `pending` is what the others' changes may still do to it.
    pub(super) async fn end(&mut self, at: usize, mut planned: Planned, pending: Option<Why>) -> Ended {
        let shared = Arc::clone(&self.shared);
        let step = &*Arc::clone(&self.steps()[planned.step]);
        let mut control = self.hosts[at].control.clone();
        control.admits(step);
        self.hosts[at].control = control;
        let vars = self.view(at, planned.step).shared();
        let name = self.lower(&self.hosts[at]).name(step, &vars);
        let pending = pending.as_ref().filter(|_| shared.options.preview);
        let mut judged = judge_items(&self.lower(&self.hosts[at]), step, &mut planned, &name, pending);
        self.act(at, &planned, &mut judged).await;
        if let Some(when) = self.debugs(step, &vars) {
            judged = self.until_content(at, &mut planned, &name, judged, when).await;
            if self.quit {
                return Ended { name, failed: false, notified: false, waits: None };
            }
        }
        if let Some(error) = self.missing_handler(at, step, &judged, &vars) {
            self.announce(planned.step, &name).await;
            self.aborted = Some(error);
            return Ended { name, failed: false, notified: false, waits: None };
        }
        match is_silent(step, &judged) {
            true => self.announce_meta(planned.step, &name).await,
            false => self.announce(planned.step, &name).await,
        }
        self.settle(at, &planned, name, judged).await
    }

    /// Asks the debugger's question about a step's end, which it tells before, and runs the step again as often as the user
    /// wants that.
    async fn until_content(
        &mut self,
        at: usize,
        planned: &mut Planned,
        name: &str,
        mut judged: Vec<Judged>,
        when: DebugWhen,
    ) -> Vec<Judged> {
        let mut over = Map::new();
        loop {
            let step = Arc::clone(&self.steps()[planned.step]);
            let (ignored, no_log) = self.keywords_of_end(at, &step, planned.step);
            mark(&mut judged, ignored);
            if !self.asks_about(&step, when, &judged, ignored) {
                return judged;
            }
            self.announce(planned.step, name).await;
            self.tell_items(at, planned, name, judged.clone(), no_log).await;
            planned.told = true;
            match self.debug(Stand { at, planned, name, judged: &judged }, &mut over).await {
                Next::Continue => return judged,
                Next::Quit => {
                    self.quit = true;
                    return judged;
                }
                Next::Redo => {
                    self.redo(at, planned, &over).await;
                    let step = Arc::clone(&self.steps()[planned.step]);
                    judged = judge_items(&self.lower(&self.hosts[at]), &step, planned, name, None);
                    self.act(at, planned, &mut judged).await;
                }
            }
        }
    }

    /// `ignore_errors` and `no_log` of a step.
    fn keywords_of_end(&self, at: usize, step: &Step, index: usize) -> (bool, bool) {
        let vars = self.view(at, index).shared();
        let lower = self.lower(&self.hosts[at]);
        let flag = |result: Result<bool, LowerError>, otherwise: bool| result.unwrap_or(otherwise);
        (
            flag(lower.flag(step, &vars, |common| &common.ignore_errors), false),
            // What can't be told is kept secret.
            flag(lower.flag(step, &vars, |common| &common.no_log), true),
        )
    }

    /// Registers and reports the items of a step.
    async fn settle(&mut self, at: usize, planned: &Planned, name: String, mut judged: Vec<Judged>) -> Ended {
        let step = &*Arc::clone(&self.steps()[planned.step]);
        let (ignore, no_log) = self.keywords_of_end(at, step, planned.step);
        let failed = mark(&mut judged, ignore);
        // One that changed something notifies for all that were run, each by the names that it has for itself.
        let changed = judged.iter().any(Judged::changed);
        let ran = |one: &Judged| changed && !matches!(one.status, Status::Skipped { .. });
        let items = planned.items.iter().zip(&judged).filter(|(_, one)| ran(one));
        let notifying: Vec<Arc<dyn Lookup>> = items.map(|(item, _)| item.view.clone().shared()).collect();
        let waits = judged.iter().any(|one| matches!(one.status, Status::Would | Status::Unknown(_)));
        let waits = (self.preview() && waits).then(|| !is_near(step));
        self.register(at, step, planned, &judged);
        if failed && rescues(step) {
            self.remember_failure(at, step, &name, &judged);
        }
        self.ran_role(at, step, planned.step, &judged);
        if !is_silent(step, &judged) {
            self.tell(at, planned, &name, judged, no_log).await;
        }
        if let Some(handler) = &step.handler {
            self.hosts[at].notices.entry(step.play).or_default().handle(handler);
        }
        let mut notified = false;
        for item in notifying {
            notified |= self.notify(at, step, &item);
        }
        if failed {
            self.hosts[at].control.fail(step);
            self.refresh_play(step.play);
        }
        Ended { name, failed, notified, waits }
    }

    /// Counts and reports the items of a step.
    async fn tell(&mut self, at: usize, planned: &Planned, name: &str, mut judged: Vec<Judged>, no_log: bool) {
        let step = &*Arc::clone(&self.steps()[planned.step]);
        count(&mut self.hosts[at].recap, step, &judged, rescues(step));
        if self.preview() && planned.ran() {
            self.hosts[at].recap.ran += 1;
            let told = "it ran, though this is a preview (`check_mode: false`)".to_owned();
            judged.iter_mut().take(1).for_each(|one| one.warnings.push(told.clone()));
        }
        if !planned.told {
            self.tell_items(at, planned, name, judged, no_log).await;
        }
    }

    async fn tell_items(&mut self, at: usize, planned: &Planned, name: &str, judged: Vec<Judged>, no_log: bool) {
        let info = self.info(planned.step, name);
        if judged.is_empty() {
            self.report(at, planned, &info, None, Judged::skipped("No items in the list"), no_log).await;
        }
        for (item, one) in planned.items.iter().zip(judged) {
            self.report(at, planned, &info, Some(item), one, no_log).await;
        }
    }

    /// What a `rescue` is told: `ansible_failed_task` and `ansible_failed_result`.
    fn remember_failure(&mut self, at: usize, step: &Step, name: &str, judged: &[Judged]) {
        let host = self.hosts[at].name.clone();
        let result = judged.iter().find(|one| one.failed()).map_or(Value::Null, Judged::result);
        let params =
            step.task.args.params.iter().map(|(name, entry)| (name.clone(), final_value(&entry.value.to_value())));
        let role = step.around.role.as_ref().map(|role| format!("{} : ", role.own.full_name));
        // One that has none has an empty name here, as in Ansible.
        let named = role.and_then(|role| name.strip_prefix(role.as_str())).unwrap_or(name);
        let own_name = step.task.common.name.as_ref().map_or("", |_| named);
        let task = Map::from_iter([
            ("name".to_owned(), Value::Str(own_name.into())),
            ("action".to_owned(), Value::Str(step.task.written.clone())),
            ("args".to_owned(), Value::Map(params.collect())),
        ]);
        self.fleet.change(&host, |vars| {
            vars.set("ansible_failed_task", Value::Map(task));
            vars.set("ansible_failed_result", result);
        });
    }

    /// `any_errors_fatal`, and `run_once`, whose failure is everybody's.
    pub(super) fn spread_failure(&mut self, at: usize, step: &Step, index: usize) {
        let by = self.hosts[at].name.clone();
        if !(self.is_fatal(index) || step.once) {
            return;
        }
        let play = step.play;
        let members = &self.members[play];
        for host in self.hosts.iter_mut().filter(|host| members.contains(&host.name) && !host.gone) {
            if host.play == Some(play) && step.once {
                if host.name != by {
                    host.control.fail_twice_with(step);
                }
            } else if host.play == Some(play) {
                host.control.fail_with(step);
            } else {
                // It has nothing more to do in the play.
                host.failed_in.insert(play);
                host.gone = true;
            }
            host.forget_after(index);
        }
        self.refresh_play(play);
    }

    /// `any_errors_fatal`.
    pub(super) fn is_fatal(&self, index: usize) -> bool {
        let step = &self.steps()[index];
        matches!(step.inherited(&self.compiled, |common| &common.any_errors_fatal), Some(Field::Known(true)))
    }

    /// A host that is lost at a step where each failure is fatal ends the others there, once all are behind it. True if there
    /// is such a step before the frontier.
    pub(super) async fn spread_losses(&mut self, frontier: usize) -> bool {
        let first = self.fatal_losses.iter().map(|(_, index)| *index).min();
        let Some(first) = first.filter(|first| *first < frontier) else { return false };
        if self.conclude_until(first).await {
            return true;
        }
        let step = Arc::clone(&self.steps()[first]);
        for (at, _) in self.fatal_losses.extract_if(.., |(_, index)| *index == first).collect::<Vec<_>>() {
            self.spread_failure(at, &step, first);
        }
        true
    }

    /// A handler that a change notifies and that the play has not: with that the run ends, as in Ansible.
    fn missing_handler(&self, at: usize, step: &Step, judged: &[Judged], vars: &Arc<dyn Lookup>) -> Option<String> {
        if !judged.iter().any(Judged::changed) {
            return None;
        }
        let plan = &self.compiled.plays[step.play];
        let missing = plan.missing_handler(&self.notified(at, step, vars))?;
        let near = plan.all_handler_names();
        let near = nearest(&missing, near.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Some(format!("the play has no handler `{missing}`, which {} notifies{near}", step.task.span))
    }

    /// The handlers that a step notifies, those of its blocks, too.
    fn notified(&self, at: usize, step: &Step, vars: &Arc<dyn Lookup>) -> Vec<String> {
        let blocks = step.blocks().iter().flat_map(|(block, _)| &block.notify);
        let mut names = Vec::new();
        for field in step.task.notify.iter().chain(blocks) {
            match &field.value {
                Field::Known(name) => names.push(name.clone()),
                Field::Template(template) => match self.lower(&self.hosts[at]).render(template, vars) {
                    Ok(Value::List(list)) => names.extend(list.iter().map(show)),
                    Ok(value) => names.push(show(&value)),
                    Err(_) => {}
                },
            }
        }
        names
    }

    pub(super) fn notify(&mut self, at: usize, step: &Step, vars: &Arc<dyn Lookup>) -> bool {
        let names = self.notified(at, step, vars);
        let any = !names.is_empty();
        self.hosts[at].notices.entry(step.play).or_default().notify(names);
        any
    }

    /// The host that acted, where the facts are its (`delegate_facts`).
    pub(super) fn keeps_facts_of(&self, step: &Step, item: &Item) -> Option<String> {
        let delegated = step.delegate_facts()?;
        let value = self.shared.program.templar.resolve(&delegated, &item.view.clone().shared());
        item.acts.clone().filter(|_| value.is_ok_and(|value| truthy(&value)))
    }

    pub(super) fn register(&mut self, at: usize, step: &Step, planned: &Planned, judged: &[Judged]) {
        // What a module does once for all of itself is only its host's to know, as in Ansible.
        let everybody = step.once && !step.entry.once;
        let names: Vec<String> = match everybody {
            true => self.compiled.plays[step.play].hosts.clone(),
            false => vec![self.hosts[at].name.clone()],
        };
        let facts = |one: &Judged| one.has_facts() || one.is_unknown() && !step.writes.is_empty();
        if step.task.register.is_none() && !judged.iter().any(|one| !one.failed() && facts(one)) {
            return;
        }
        let result = if step.task.looping.is_some() && !(judged.len() == 1 && planned.items[0].label.is_none()) {
            looped(step, planned, judged)
        } else {
            judged.first().map_or(Value::Null, Judged::result)
        };
        let given = |item: &Item| self.keeps_facts_of(step, item);
        for (item, one) in planned.items.iter().zip(judged).filter(|(_, one)| !one.failed()) {
            let others = given(item);
            let of: Vec<&String> = others.as_ref().map_or_else(|| names.iter().collect(), |other| vec![other]);
            let result = one.result();
            for name in of {
                self.fleet.change(name, |vars| match &result {
                    Value::Map(map) => keep_facts(vars, step, map),
                    Value::Unknown(why) => keep_unknown(vars, step, why),
                    _ => {}
                });
            }
        }
        if planned.items.iter().any(|item| given(item).is_some()) {
            self.hosts.iter_mut().for_each(|host| host.forget_after(planned.step));
        }
        if let Some(register) = &step.task.register {
            for name in &names {
                self.fleet.change(name, |vars| vars.set(&register.value, result.clone()));
            }
        }
    }

    /// What is told of a step: the same for all hosts that give it the same name.
    pub(super) fn info(&mut self, index: usize, name: &str) -> Arc<TaskInfo> {
        if let Some(last) = self.told.as_ref().filter(|last| last.step == index && last.name == name) {
            return Arc::clone(last);
        }
        let step = &self.steps()[index];
        let info = Arc::new(TaskInfo {
            name: name.into(),
            module: step.module().into(),
            place: self.scope(step).place.clone(),
            handler: step.handler.is_some() || step.around.in_handler,
            step: index,
        });
        Arc::clone(self.told.insert(info))
    }

    pub(super) async fn announce(&mut self, index: usize, name: &str) {
        if self.held.is_some() {
            return;
        }
        self.announce_play(self.steps()[index].play).await;
        if self.shown.1 != Some(index) {
            self.shown.1 = Some(index);
            let task = self.info(index, name);
            self.send(Event::TaskStarted { task }).await;
        }
    }

    /// As Ansible tells of it: for each host where it concerns that alone, and not of what nobody has written.
    async fn announce_meta(&mut self, index: usize, name: &str) {
        const EACH: [&str; 5] = ["end_host", "end_role", "flush_handlers", "noop", "reset_connection"];
        let step = &self.steps()[index];
        if step.is_made() {
            return;
        }
        if EACH.contains(&step.meta_action()) {
            self.shown.1 = None;
        }
        self.announce(index, name).await;
    }

    pub(super) async fn announce_play(&mut self, play: usize) {
        if self.shown.0 != Some(play) {
            self.pass_over(Some(play)).await;
            self.shown.0 = Some(play);
            let name = self.compiled.plays[play].name.clone();
            self.send(Event::PlayStarted { play: name }).await;
        }
    }

    /// Tells of the plays before that one, or of the rest, in which nothing was to do.
    pub(super) async fn pass_over(&mut self, before: Option<usize>) {
        for (play, has_hosts) in self.compiled.between(self.shown.0, before) {
            self.send(if has_hosts { Event::PlayStarted { play } } else { Event::PlaySkipped { play } }).await;
        }
    }

    pub(super) async fn report(
        &mut self,
        at: usize,
        planned: &Planned,
        info: &Arc<TaskInfo>,
        item: Option<&Item>,
        one: Judged,
        no_log: bool,
    ) {
        let status = match one.status {
            Status::Failed { hint, ignored, .. } if no_log => {
                Status::Failed { error: WITHHELD.into(), hint, explanation: None, ignored }
            }
            // `changed_when` on what ran here: a preview has changed nothing for all that.
            Status::Changed if self.preview() && planned.previews => Status::Would,
            status => status,
        };
        let step = &self.compiled.steps[planned.step];
        let label = item.and_then(|item| item.label.clone());
        let loop_vars = item.filter(|item| !no_log && item.label.is_some()).map(|item| given(step, item));
        let untold = matches!(step.inherited(&self.compiled, |common| &common.diff), Some(Field::Known(false)));
        let result = TaskResult {
            host: self.hosts[at].name.clone(),
            delegated_to: item.and_then(|item| item.acts.clone()),
            task: Arc::clone(info),
            item: label.map(|label| if no_log { UNNAMED.into() } else { label }),
            loop_vars: loop_vars
                .unwrap_or_default()
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), shown(value)?)))
                .collect(),
            status,
            diffs: if no_log || untold { Vec::new() } else { one.diffs },
            data: if no_log { censored(one.did_change) } else { redacted(one.data) },
            warnings: if no_log { Vec::new() } else { one.warnings },
            causes: if no_log { Vec::new() } else { one.causes },
            conditional: one.conditional,
            seconds: planned.began.elapsed().as_secs_f64(),
        };
        let key = (step.play, step.id);
        match &mut self.held {
            Some(held) => held.push((key, result)),
            None => self.send(Event::Result(result.into())).await,
        }
    }
}

/// Marks the failures that are ignored. True if one is not.
fn mark(judged: &mut [Judged], ignore: bool) -> bool {
    let mut failed = false;
    for one in judged {
        if let Status::Failed { ignored, .. } = &mut one.status {
            *ignored = ignore && !one.is_final;
            failed |= !*ignored;
        }
    }
    failed
}

/// What is told of a result under `no_log`.
fn censored(changed: bool) -> Data {
    Data::from_iter([("censored".to_owned(), CENSORED.into()), ("changed".to_owned(), changed.into())])
}

fn redacted(mut data: Data) -> Data {
    data.values_mut().for_each(redact);
    data
}

/// Templates as written: they are not rendered any more.
pub(super) fn final_value(value: &Value) -> Value {
    match value {
        Value::Template(template) if template.secret => Value::Str(trueup_modules::secret::REDACTED.into()),
        Value::Template(template) => Value::Str(template.text.clone()),
        Value::List(items) => Value::List(items.iter().map(final_value).collect()),
        Value::Map(map) => Value::Map(map.iter().map(|(name, value)| (name.clone(), final_value(value))).collect()),
        other => other.clone(),
    }
}

/// Whether a failure in a step leads to a `rescue`, be it of a block further out.
pub(super) fn rescues(step: &Step) -> bool {
    step.catching().any(|(block, section)| *section == Section::Block && block.has_rescue)
}

/// Counts a task, as Ansible does: once, however many items it has; a failure that is made good as `rescued` only.
fn count(recap: &mut Recap, step: &Step, judged: &[Judged], rescued: bool) {
    let any = |what: fn(&Status) -> bool| judged.iter().any(|one| what(&one.status));
    if any(|status| matches!(status, Status::Failed { ignored: false, .. })) {
        let is_final = judged.iter().any(|one| one.is_final);
        *(if rescued && !is_final { &mut recap.rescued } else { &mut recap.failed }) += 1;
        recap.cleared += u64::from(rescued && is_final);
    } else if any(|status| matches!(status, Status::Failed { .. } | Status::Unreachable { .. })) {
        recap.ok += 1;
        recap.ignored += 1;
        recap.changed += u64::from(judged.iter().any(|one| one.did_change));
    } else if judged.iter().any(Judged::changed) {
        recap.ok += 1;
        recap.changed += 1;
    } else if any(|status| matches!(status, Status::Unknown(_))) {
        recap.unknown += 1;
    } else if judged.iter().all(|one| matches!(one.status, Status::Skipped { .. })) {
        recap.skipped += 1;
    } else if matches!(step.entry.name, "include_tasks" | "include_role") {
        // Each file that is included counts.
        recap.ok += judged.iter().filter(|one| one.status == Status::Ok).count() as u64;
    } else {
        recap.ok += 1;
    }
}

/// `meta` is not told of, unless it fails; nor is that a task's module is known now.
fn is_silent(step: &Step, judged: &[Judged]) -> bool {
    let chosen = step.chooses.is_some() && judged.iter().all(|one| one.status == Status::Ok);
    chosen || step.entry.name == "meta" && !judged.iter().any(Judged::failed)
}

/// The facts that a step would set, of which nothing is known yet: what reads them is not known either, and not undefined.
fn keep_unknown(vars: &mut HostVars, step: &Step, why: &Why) {
    let unknown = || Value::Unknown(why.clone());
    let registered = step.task.register.as_ref().map(|register| register.value.as_str());
    let names = step.writes.iter().filter(|name| *name != "ansible_facts" && Some(name.as_str()) != registered);
    match step.entry.name {
        "set_fact" => names.for_each(|name| vars.set(name, unknown())),
        "getent" | "package_facts" | "service_facts" => {
            vars.add_facts(names.map(|name| (name.clone(), unknown())).collect());
        }
        _ => {}
    }
}

/// Facts that a module returned.
fn keep_facts(vars: &mut HostVars, step: &Step, result: &Map) {
    let Some(Value::Map(facts)) = result.get("ansible_facts") else { return };
    match step.entry.name {
        // What a file holds is kept with its templates.
        "include_vars" => {}
        "set_fact" => facts.iter().for_each(|(name, value)| vars.set(name, value.clone())),
        _ => vars.add_facts(facts.clone()),
    }
}
