//! Every fixture of every module: does it plan what is written there, and does it keep the laws of modules?
//!
//! A fixture is `fixtures/MODULE/CASE.json`: a host, parameters, and what is expected. The laws need no writing down:
//!
//! 1. planning has no effect;
//! 2. a preview shows exactly what applying then changes;
//! 3. after applying, there is nothing left to do;
//! 4. where all effects are stated, a preview that remembers the plan has nothing left to do either;
//! 5. what a command is stated to make is so once it has run;
//! 6. what a preview shows where the host can't be asked is the wanted side of what is shown where it can;
//! 7. a secret among the parameters shows in no diff, return value, message or command line, and is never handed on as
//!    text that may be shown.

mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use trueup_modules::builtin;
use trueup_modules::edit::{Diff, Edit, Shown};
use trueup_modules::facts::Fact;
use trueup_modules::fake::Fake;
use trueup_modules::host::{Error, Host};
use trueup_modules::interpret;
use trueup_modules::module::{Entry, Planner};
use trueup_modules::plan::Plan;
use trueup_modules::preview::Preview;

use fixture::{Case, show};

#[test]
fn every_fixture_holds() {
    let cases = fixture::all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")));
    let problems: Vec<String> =
        cases.iter().filter_map(|case| run(case).err().map(|problem| format!("{}: {problem}", case.name))).collect();
    assert!(problems.is_empty(), "{} of {} fixtures:\n{}", problems.len(), cases.len(), problems.join("\n\n"));
}

#[test]
fn every_module_has_fixtures() {
    let cases = fixture::all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")));
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.module.as_str()).collect();
    let bare: Vec<&str> =
        builtin::all().into_iter().map(|entry| entry.name).filter(|name| !covered.contains(name)).collect();
    assert!(bare.is_empty(), "modules without a fixture: {}", bare.join(", "));
}

/// A ROLLBACK undoes no function of pg_tde, so none may be called where there could be one.
#[test]
fn calls_are_outside_of_transactions() {
    let cases = fixture::all(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")));
    let mut calls = 0;
    for case in cases.iter().filter(|case| ["tde_key_provider", "tde_principal_key"].contains(&&*case.module)) {
        let loaded = builtin::find(&case.module).and_then(|entry| entry.load(case.params.clone()).ok());
        let Some(Ok(plan)) = loaded.map(|module| module.plan(&case.host())) else { continue };
        for edit in &plan.edits {
            let Edit::Sql { autocommit, statement, .. } = edit else { panic!("{}: {edit:?}", case.name) };
            assert!(autocommit, "{}: {statement}", case.name);
            calls += 1;
        }
    }
    assert!(calls > 10, "{calls} calls");
}

/// Modules whose commands make what others can ask for (accounts, packages, units), and so must state it.
const STATE_FACTS: [&str; 4] = ["group", "package", "service", "user"];

/// What was seen, in words, for the expectations and for the search for secrets.
#[derive(Default)]
struct Seen {
    diffs: Vec<String>,
    data: Value,
    error: Option<String>,
    warnings: Vec<String>,
    explanation: Option<String>,
    /// The plan and the questions, as a program sees them: secrets are redacted there if they are of that type.
    inner: Vec<String>,
}

fn run(case: &Case) -> Result<(), String> {
    let entry = builtin::find(&case.module).ok_or("there is no such module")?;
    let mut seen = Seen::default();
    match entry.load(case.params.clone()) {
        Ok(module) => laws(case, entry, module.as_ref(), &mut seen)?,
        Err(problem) => seen.error = Some(format!("parameter `{}`: {}", problem.param, problem.reason)),
    }
    expected(case, &seen)?;
    hides_secrets(case, &seen)
}

fn laws(case: &Case, entry: &Entry, module: &dyn Planner, seen: &mut Seen) -> Result<(), String> {
    let mut host = case.host();
    let before = host.snapshot();
    let planned = module.plan(&host);
    seen.inner = host.asked();
    if host.snapshot() != before || !host.log.is_empty() {
        return Err("planning had an effect".into());
    }
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            seen.explanation = module.explain(&host, &error);
            seen.error = Some(error.to_string());
            seen.data = Value::Object(error.apart().1);
            return Ok(());
        }
    };
    seen.inner.push(format!("{plan:?} {:?}", module.intent()));
    previews_alike(module, &host, &plan)?;
    intent_agrees(&module.intent(), &plan.diffs())?;
    let converges = entry.converges && module.converges();
    if converges && plan.edits.iter().all(|edit| stated(edit, entry.name)) {
        overlay_agrees(case, module, &host, &plan)?;
    }
    seen.diffs = plan.diffs().iter().map(show).collect();
    seen.data = Value::Object(plan.data.clone());
    seen.warnings.clone_from(&plan.warnings);
    apply(module, &mut host, &plan, converges, seen)
}

/// Nothing is left but what changes nothing.
fn done(again: &Plan) -> bool {
    again.edits.iter().all(Edit::is_upkeep)
}

fn stated(edit: &Edit, module: &str) -> bool {
    match edit {
        Edit::Run { .. } => STATE_FACTS.contains(&module),
        Edit::Sql { .. } | Edit::Wait(_) | Edit::Forget(_) => false,
        _ => true,
    }
}

fn previews_alike(module: &dyn Planner, host: &Fake, plan: &Plan) -> Result<(), String> {
    let previewed =
        module.plan(&Preview::default().over(host)).map_err(|error| format!("the preview fails: {error}"))?;
    if previewed == *plan { Ok(()) } else { Err("a preview plans something else".into()) }
}

fn overlay_agrees(case: &Case, module: &dyn Planner, host: &Fake, plan: &Plan) -> Result<(), String> {
    let mut preview = Preview::default();
    preview.record("the same task", plan);
    let again = module.plan(&preview.over(host)).map_err(|error| format!("fails over its own preview: {error}"))?;
    match (done(&again), case.expect.again) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(format!("a preview that remembers the plan still shows {:?}", diffs(&again))),
        (true, true) => Err("a preview that remembers the plan has nothing left to show: say no `again`".into()),
    }
}

fn intent_agrees(intent: &[Diff], shown: &[Diff]) -> Result<(), String> {
    if intent.is_empty() && !shown.is_empty() {
        return Err("nothing would be shown where the host can't be asked".into());
    }
    // Which version or mode it comes to is not always known yet; whether it goes or is secret is.
    for meant in intent.iter().filter(|meant| matches!(meant.after, Shown::Absent | Shown::Redacted)) {
        let same = |diff: &&Diff| diff.subject == meant.subject && diff.aspect == meant.aspect;
        let mut told = shown.iter().filter(same).peekable();
        if told.peek().is_some() && told.all(|diff| diff.after != meant.after) {
            return Err(format!("where the host can't be asked, {} would be shown", show(meant)));
        }
    }
    Ok(())
}

/// Of several statements about one thing, the last counts. What the fixture's host does not know is passed over.
fn claims_hold(plan: &Plan, host: &Fake) -> Result<(), String> {
    let makes = plan.edits.iter().flat_map(|edit| match edit {
        Edit::Run { makes, .. } => makes.as_slice(),
        _ => &[],
    });
    let last: BTreeMap<_, _> = makes.map(|fact| (subject(fact), fact)).collect();
    for fact in last.values() {
        if let Ok(false) = holds(fact, host) {
            return Err(format!("what it states to make is not so: {fact:?}"));
        }
    }
    Ok(())
}

fn subject(fact: &Fact) -> (&'static str, &str) {
    match fact {
        Fact::User(user) => ("user", &user.name),
        Fact::NoUser(name) => ("user", name),
        Fact::Group(group) => ("group", &group.name),
        Fact::NoGroup(name) => ("group", name),
        Fact::Package(package) => ("package", &package.name),
        Fact::NoPackage(name) => ("package", name),
        Fact::Unit(unit) => ("unit", &unit.name),
        Fact::Path(path, ..) => ("path", path.to_str().expect("fixtures have UTF-8 paths")),
    }
}

/// Whether a fact is so; a number, version or shell that was not known beforehand may be any.
fn holds(fact: &Fact, host: &Fake) -> Result<bool, Error> {
    let package = |name: &String| host.packages(&[name]).map(|mut found| found.remove(name));
    Ok(match fact {
        Fact::User(user) => host.user(&user.name)?.is_some_and(|now| {
            (user.uid.is_none() || user.uid == now.uid)
                && (user.gid.is_none() || user.gid == now.gid)
                && (user.shell.is_empty() || user.shell == now.shell)
                && (&user.gecos, &user.home) == (&now.gecos, &now.home)
        }),
        Fact::NoUser(name) => host.user(name)?.is_none(),
        Fact::Group(group) => host
            .group(&group.name)?
            .is_some_and(|now| (group.gid.is_none() || group.gid == now.gid) && group.members == now.members),
        Fact::NoGroup(name) => host.group(name)?.is_none(),
        Fact::Package(made) => {
            package(&made.name)?.is_some_and(|now| made.version.is_none() || made.version == now.version)
        }
        Fact::NoPackage(name) => package(name)?.is_none(),
        Fact::Unit(unit) => host.unit(&unit.name)? == *unit,
        Fact::Path(path, kind, mode) => host.stat(path)?.is_some_and(|now| now.kind == *kind && now.mode == *mode),
    })
}

fn apply(module: &dyn Planner, host: &mut Fake, plan: &Plan, converges: bool, seen: &mut Seen) -> Result<(), String> {
    let mut lines = Vec::new();
    let result = interpret::apply(plan, host, &mut |happening| lines.push(format!("{happening:?}")));
    let applied = match &result {
        Ok(applied) => applied,
        Err(failure) => {
            seen.error = Some(failure.error.to_string());
            seen.explanation = module.explain(&*host, &failure.error);
            &failure.applied
        }
    };
    if let Value::Object(data) = &mut seen.data {
        data.extend(module.report(applied));
        if let Err(failure) = &result {
            data.extend(failure.error.clone().apart().1);
            data.extend(module.lament(&failure.error).map(|msg| ("msg".to_owned(), msg.into())));
        }
        // What the fixture's host does not know is not expected either.
        data.extend(module.aftermath(&*host).unwrap_or_default());
    }
    seen.warnings.extend(host.log.iter().chain(&lines).map(|line| format!("(ran) {line}")));
    if result.is_err() {
        return Ok(());
    }
    if let Err(error) = module.verdict(applied) {
        seen.error = Some(error.to_string());
        if let Value::Object(data) = &mut seen.data {
            data.extend(error.apart().1);
        }
        return Ok(());
    }
    if applied.diffs != plan.diffs() {
        return Err("applying changed something else than was shown".into());
    }
    claims_hold(plan, host)?;
    let again = module.plan(host).map_err(|error| format!("planning again fails: {error}"))?;
    match !converges || plan.repeats || done(&again) {
        true => Ok(()),
        false => Err(format!("after applying there is still {:?}", diffs(&again))),
    }
}

fn diffs(plan: &Plan) -> Vec<String> {
    plan.diffs().iter().map(show).collect()
}

fn expected(case: &Case, seen: &Seen) -> Result<(), String> {
    let wanted = &case.expect;
    let text = |lines: &[String]| serde_json::to_string_pretty(lines).unwrap_or_default();
    if seen.error != wanted.error {
        return Err(format!("error is {:?}, not {:?}", seen.error, wanted.error));
    }
    if seen.explanation != wanted.explanation {
        return Err(format!("it explains {:?}, not {:?}", seen.explanation, wanted.explanation));
    }
    if let Some(diffs) = wanted.diffs.as_ref().filter(|wanted| **wanted != seen.diffs) {
        return Err(format!("diffs are {}, not {}", text(&seen.diffs), text(diffs)));
    }
    for (name, value) in &wanted.data {
        if seen.data[name] != *value {
            return Err(format!("it returns {name} = {}, not {value}", seen.data[name]));
        }
    }
    let warned: Vec<&String> = seen.warnings.iter().filter(|line| !line.starts_with("(ran) ")).collect();
    if warned != wanted.warnings.iter().collect::<Vec<_>>() {
        return Err(format!("it warns {warned:?}, not {:?}", wanted.warnings));
    }
    Ok(())
}

fn hides_secrets(case: &Case, seen: &Seen) -> Result<(), String> {
    let mut shown = vec![seen.data.to_string()];
    shown.extend(seen.diffs.iter().chain(&seen.warnings).chain(&seen.error).chain(&seen.explanation).cloned());
    shown.extend(seen.inner.iter().cloned());
    for secret in fixture::secrets(&case.params) {
        if let Some(leak) = shown.iter().find(|text| text.contains(&secret)) {
            return Err(format!("the secret shows: {leak}"));
        }
    }
    Ok(())
}
