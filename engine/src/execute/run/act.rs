//! What a step's end means to the run itself: includes, `include_vars`, `meta`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Run;
use super::host::Planned;
use crate::compile::expand::{self, Include};
use crate::compile::{self, PlayPlan, Step};
use crate::diagnostic::{Diagnostics, Paint};
use crate::event::Status;
use crate::execute::fleet::Line;
use crate::execute::judge::{Judged, changed_when};
use crate::execute::lower::{Item, Work, loops};
use crate::template::Lookup;
use crate::value::{Map, Value};

impl Run {
    /// Does what the steps of the engine's own are for. What cannot be done fails the item.
    pub(super) async fn act(&mut self, at: usize, planned: &Planned, judged: &mut [Judged]) {
        let step = Arc::clone(&self.steps()[planned.step]);
        if step.entry.name == "reboot" {
            self.hang_up(at, planned).await;
        }
        if !step.turns() {
            return;
        }
        for (item, one) in
            planned.items.iter().zip(judged).filter(|(_, one)| matches!(one.status, Status::Ok | Status::Changed))
        {
            let Work::Task(task) = &item.work else { continue };
            if matches!(step.entry.name, "add_host" | "group_by") {
                let params = task.params.clone();
                match self.add(at, planned.step, &one.data, &params) {
                    Ok(news) => {
                        one.count_as(news);
                        changed_when(&self.lower(&self.hosts[at]), &step, item, one);
                    }
                    Err(error) => one.fail(error),
                }
                continue;
            }
            let done = match step.entry.name {
                "include_vars" => {
                    let of = self.keeps_facts_of(&step, item).unwrap_or_else(|| self.hosts[at].name.clone());
                    let done = self.include_vars(&of, &task.params);
                    // Others may have planned with what they had before.
                    if done.is_ok() && of != self.hosts[at].name {
                        self.hosts.iter_mut().for_each(|host| host.forget_after(planned.step));
                    }
                    done.map(|found| one.tell_included(found))
                }
                "meta" => self.meta(at, planned.step, &task.params).await,
                _ => self.include(at, planned.step, &step, item, &task.params),
            };
            match done {
                Ok(()) => {}
                Err(error) if step.includes() => one.fail_for_good(error),
                Err(error) => one.fail(error),
            }
        }
    }

    /// The connections of hosts that were started anew are gone, each user's.
    async fn hang_up(&mut self, at: usize, planned: &Planned) {
        let own = &self.hosts[at].name;
        let hosts: BTreeSet<&String> = planned.items.iter().map(|item| item.acts.as_ref().unwrap_or(own)).collect();
        for slot in hosts.into_iter().flat_map(|host| self.connections.slots(host)) {
            *slot.lock().await = Line::Down;
        }
    }

    /// Puts in what is included, or lets the host have what others have included already.
    fn include(&mut self, at: usize, index: usize, step: &Step, item: &Item, params: &Json) -> Result<(), String> {
        let name = self.hosts[at].name.clone();
        let include = include(step, item, params)?;
        let known = self.includes.entry(step.id).or_default();
        let audiences = &mut Arc::make_mut(&mut self.compiled).audiences;
        for (_, audience) in known.iter().filter(|(other, _)| *other == include) {
            if audiences[*audience].insert(name.clone()) {
                return Ok(());
            }
        }
        let audience = audiences.len();
        audiences.push([name].into());
        known.push((include.clone(), audience));
        let selection = &self.shared.program.selection;
        let program = Arc::make_mut(&mut self.compiled);
        let inserted = expand::expand(program, &mut self.project, selection, index, &include, audience)
            .map_err(|diagnostics: Diagnostics| diagnostics.render(Paint::Plain).trim_end().to_owned())?;
        for (position, count) in inserted {
            self.hosts.iter_mut().for_each(|host| host.make_room(position, count));
            self.shown.1.iter_mut().filter(|shown| **shown >= position).for_each(|shown| *shown += count);
            self.pending.iter_mut().filter(|pending| pending.step >= position).for_each(|one| one.step += count);
        }
        // A public role gives its variables to the play's other steps, too.
        self.scopes = Default::default();
        self.refresh_play(step.play);
        Ok(())
    }

    /// What the files held, for the host and to be told.
    fn include_vars(&mut self, host: &str, params: &Json) -> Result<Map, String> {
        let mut vars = Map::new();
        for file in params["files"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            let mut diagnostics = Diagnostics::new();
            let read = self.project.variables(Path::new(file), &mut diagnostics);
            let read = read.map_err(|error| diagnostics.push(error));
            if let (Ok(read), false) = (read, diagnostics.has_errors()) {
                vars.extend(read.iter().map(|(name, value)| (name.clone(), value.clone())));
            } else {
                return Err(diagnostics.render(Paint::Plain).trim_end().to_owned());
            }
        }
        if let Some(name) = params["name"].as_str() {
            vars = Map::from_iter([(name.to_owned(), Value::Map(vars))]);
        }
        compile::expand::learn(Arc::make_mut(&mut self.compiled), &vars)
            .map_err(|diagnostics| diagnostics.render(Paint::Plain).trim_end().to_owned())?;
        let merge = params["hash_behaviour"] == "merge";
        let found = vars.clone();
        self.fleet.change(host, |host| {
            let included = Arc::make_mut(&mut host.included);
            for (name, value) in vars {
                let before = included.get(&name).cloned().filter(|_| merge);
                included.insert(name, before.map_or(value.clone(), |before| merged(before, value)));
            }
        });
        Ok(found)
    }

    async fn meta(&mut self, at: usize, index: usize, params: &Json) -> Result<(), String> {
        let step = &*Arc::clone(&self.steps()[index]);
        let everybody = || (0..self.hosts.len()).filter(|other| self.hosts[*other].play == Some(step.play));
        match params["action"].as_str().unwrap_or_default() {
            "end_host" => self.end_for(step.play, [at]),
            "end_play" => {
                self.end_for(step.play, everybody().collect::<Vec<_>>());
                let play = Arc::clone(&self.compiled.plays[step.play].play);
                let same = |plan: &PlayPlan| Arc::ptr_eq(&plan.play, &play);
                let ended = self.compiled.plays.iter().enumerate().filter(|(_, plan)| same(plan)).map(|(at, _)| at);
                self.ended_plays.extend(ended.collect::<Vec<_>>());
            }
            "end_batch" => self.end_for(step.play, everybody().collect::<Vec<_>>()),
            "end_role" => {
                let role = step.around.role.as_ref().map(|role| role.id);
                self.hosts[at].left_roles.extend(role);
            }
            "clear_facts" => {
                for host in &self.compiled.plays[step.play].hosts {
                    self.fleet.change(host, |vars| vars.facts = Arc::default());
                }
            }
            "clear_host_errors" => {
                // From the next play on, they are as if nothing had been.
                for host in &mut self.hosts {
                    host.recap.cleared = host.recap.failed + host.recap.unreachable;
                    if host.gone || host.control.failed {
                        host.failed_in.insert(step.play);
                        (host.gone, host.control) = (false, Default::default());
                    } else {
                        host.control.clear();
                    }
                }
                self.refresh_play(step.play);
            }
            "refresh_inventory" => self.refresh_inventory(index)?,
            "reset_connection" => {
                for slot in self.connections.slots(&self.hosts[at].name) {
                    *slot.lock().await = Line::Down;
                }
            }
            _ => return Ok(()),
        }
        // Others may have planned with what holds no longer.
        self.hosts.iter_mut().for_each(|host| host.forget_after(index));
        Ok(())
    }

    fn end_for(&mut self, play: usize, hosts: impl IntoIterator<Item = usize>) {
        for at in hosts {
            self.hosts[at].ended.insert(play);
        }
        self.refresh_play(play);
    }

    /// A play's magic variables follow its hosts and roles.
    pub(super) fn refresh_play(&mut self, play: usize) {
        for batch in play..self.play_magic.len() {
            if self.compiled.plays[batch].written == self.compiled.plays[play].written {
                self.refresh_batch(batch);
            } else {
                self.stale.insert(batch);
            }
        }
    }

    /// What an earlier play has made of the hosts counts when a play begins.
    pub(super) fn refresh_stale(&mut self, play: usize) {
        if self.stale.remove(&play) {
            self.refresh_batch(play);
        }
    }

    /// Who has failed in one batch is missing in those after it, too.
    fn refresh_batch(&mut self, play: usize) {
        let plays = &self.compiled.plays;
        let of = |other: usize| other <= play && plays[other].written == plays[play].written;
        let lives = |name: &str| {
            let host = self.place(name).map(|at| &self.hosts[at]);
            host.is_none_or(|host| {
                let failed = host.play.is_some_and(|other| of(other) || other < play) && host.control.is_over()
                    || host.failed_in.iter().any(|other| of(*other));
                !host.gone && !failed && !host.ended.contains(&play)
            })
        };
        let magic = play_magic(&self.compiled.plays[play], &lives);
        self.play_magic[play] = Arc::new(magic);
    }

    /// A role of which a task has run on a host does not run there again, unless it allows that.
    pub(super) fn ran_role(&mut self, at: usize, step: &Step, index: usize, judged: &[Judged]) {
        let Some(role) = &step.around.role else { return };
        let skipped = judged.iter().all(|one| matches!(one.status, Status::Skipped { .. }));
        let key = (step.play, role.key.clone());
        if skipped || self.hosts[at].ran.contains_key(&key) {
            return;
        }
        self.hosts[at].ran.insert(key, role.id);
        let once = |other: &compile::Role| other.id != role.id && other.key == role.key && !other.allow_duplicates;
        let again = |step: &Arc<Step>| step.around.role.as_ref().is_some_and(|other| once(other));
        if self.compiled.steps[index..].iter().any(again) {
            self.hosts[at].forget_after(index);
        }
    }
}

/// What an include's rendered parameters say.
fn include(step: &Step, item: &Item, params: &Json) -> Result<Include, String> {
    let text = |name: &str| params[name].as_str().map(str::to_owned);
    let flag = |name: &str, default: bool| match &params[name] {
        Json::Bool(flag) => *flag,
        Json::String(text) => trueup_modules::param::truth(text) == Some(true),
        _ => default,
    };
    let names = if step.entry.name == "include_role" { ["name", "role"] } else { ["file", "file"] };
    let Some(name) = names.iter().find_map(|name| text(name)) else {
        return Err(format!("`{}` must name what to include", step.task.written));
    };
    Ok(Include {
        name,
        from: ["tasks_from", "vars_from", "defaults_from", "handlers_from"].map(text),
        public: flag("public", false),
        allow_duplicates: flag("allow_duplicates", true),
        validate: flag("rolespec_validate", true),
        item: item_vars(step, item),
    })
}

/// The variables that a loop gives its item.
fn item_vars(step: &Step, item: &Item) -> Map {
    let Some(looping) = &step.task.looping else { return Map::new() };
    let names = loops::names(&looping.control);
    names.filter_map(|name| Some((name.to_owned(), item.view.get(name)?.clone()))).collect()
}

/// Dictionaries are merged, of all else the later wins.
fn merged(before: Value, after: Value) -> Value {
    match (before, after) {
        (Value::Map(mut before), Value::Map(after)) => {
            for (name, value) in after {
                let one = before.get(&name).cloned();
                before.insert(name, one.map_or(value.clone(), |one| merged(one, value)));
            }
            Value::Map(before)
        }
        (_, after) => after,
    }
}

/// The magic variables that all steps of a play see.
pub(super) fn play_magic(plan: &PlayPlan, lives: &dyn Fn(&str) -> bool) -> Map {
    let hosts = |names: &[String]| {
        Value::List(names.iter().filter(|name| lives(name)).map(|name| Value::Str(name.clone())).collect())
    };
    let all: Vec<Value> = plan.all_hosts.iter().map(|name| Value::Str(name.clone())).collect();
    let texts = |names: Vec<String>| Value::List(names.into_iter().map(Value::Str).collect());
    let named: Vec<String> = plan.roles.iter().map(|role| role.own.full_name.clone()).collect();
    let mut dependent = Vec::new();
    plan.roles.iter().for_each(|role| dependencies(role, &mut dependent));
    dependent.sort();
    dependent.dedup();
    let mut every: Vec<String> = named.iter().chain(&dependent).cloned().collect();
    every.sort();
    every.dedup();
    Map::from_iter([
        ("ansible_play_hosts".to_owned(), hosts(&plan.all_hosts)),
        ("ansible_play_hosts_all".to_owned(), Value::List(all)),
        ("ansible_play_batch".to_owned(), hosts(&plan.hosts)),
        // The old name of it.
        ("play_hosts".to_owned(), hosts(&plan.hosts)),
        ("ansible_play_name".to_owned(), Value::Str(plan.name.clone())),
        ("playbook_dir".to_owned(), Value::Str(super::absolute(&plan.dir))),
        ("ansible_role_names".to_owned(), texts(every)),
        ("ansible_play_role_names".to_owned(), texts(named.clone())),
        ("role_names".to_owned(), texts(named)),
        ("ansible_dependent_role_names".to_owned(), texts(dependent)),
    ])
}

fn dependencies(role: &compile::Role, names: &mut Vec<String>) {
    for dependency in &role.dependencies {
        dependencies(dependency, names);
        names.push(dependency.own.full_name.clone());
    }
}
