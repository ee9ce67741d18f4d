//! Every fixture of every module: does it plan what is written there, and does it keep the laws of modules?
//!
//! A fixture is `fixtures/MODULE/CASE.json`: a host, parameters, and what is expected. The laws need no writing down:
//!
//! 1. planning has no effect;
//! 2. a preview shows exactly what applying then changes;
//! 3. after applying, there is nothing left to do;
//! 4. where all effects are stated, a preview that remembers the plan has nothing left to do either;
//! 5. a secret among the parameters shows in no diff, return value, message or command line.

mod fixture;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use trueup_modules::builtin;
use trueup_modules::edit::Edit;
use trueup_modules::fake::Fake;
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
        builtin::REGISTRY.iter().map(|entry| entry.name).filter(|name| !covered.contains(name)).collect();
    assert!(bare.is_empty(), "modules without a fixture: {}", bare.join(", "));
}

/// What was seen, in words, for the expectations and for the search for secrets.
#[derive(Default)]
struct Seen {
    diffs: Vec<String>,
    data: Value,
    error: Option<String>,
    warnings: Vec<String>,
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
    if host.snapshot() != before || !host.log.is_empty() {
        return Err("planning had an effect".into());
    }
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            seen.error = Some(error.to_string());
            return Ok(());
        }
    };
    previews_alike(module, &host, &plan)?;
    let converges = entry.converges && module.converges();
    if converges && plan.edits.iter().all(stated) {
        overlay_agrees(module, &host, &plan)?;
    }
    seen.diffs = plan.diffs().iter().map(show).collect();
    seen.data = Value::Object(plan.data.clone());
    seen.warnings.clone_from(&plan.warnings);
    apply(module, &mut host, &plan, converges, seen)
}

fn stated(edit: &Edit) -> bool {
    !matches!(edit, Edit::Run { .. } | Edit::Sql { .. } | Edit::Wait(_))
}

fn previews_alike(module: &dyn Planner, host: &Fake, plan: &Plan) -> Result<(), String> {
    let previewed =
        module.plan(&Preview::default().over(host)).map_err(|error| format!("the preview fails: {error}"))?;
    if previewed == *plan { Ok(()) } else { Err("a preview plans something else".into()) }
}

fn overlay_agrees(module: &dyn Planner, host: &Fake, plan: &Plan) -> Result<(), String> {
    let mut preview = Preview::default();
    preview.record("the same task", plan);
    let again = module.plan(&preview.over(host)).map_err(|error| format!("fails over its own preview: {error}"))?;
    match again.is_empty() {
        true => Ok(()),
        false => Err(format!("a preview that remembers the plan still shows {:?}", diffs(&again))),
    }
}

fn apply(module: &dyn Planner, host: &mut Fake, plan: &Plan, converges: bool, seen: &mut Seen) -> Result<(), String> {
    let mut lines = Vec::new();
    let result = interpret::apply(plan, host, &mut |happening| lines.push(format!("{happening:?}")));
    let applied = match &result {
        Ok(applied) => applied,
        Err(failure) => {
            seen.error = Some(failure.error.to_string());
            &failure.applied
        }
    };
    if let Value::Object(data) = &mut seen.data {
        data.extend(module.report(applied));
    }
    seen.warnings.extend(host.log.iter().chain(&lines).map(|line| format!("(ran) {line}")));
    if result.is_err() {
        return Ok(());
    }
    if applied.diffs != plan.diffs() {
        return Err("applying changed something else than was shown".into());
    }
    let again = module.plan(host).map_err(|error| format!("planning again fails: {error}"))?;
    match !converges || again.is_empty() {
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
    shown.extend(seen.diffs.iter().chain(&seen.warnings).chain(&seen.error).cloned());
    for secret in fixture::secrets(&case.params) {
        if let Some(leak) = shown.iter().find(|text| text.contains(&secret)) {
            return Err(format!("the secret shows: {leak}"));
        }
    }
    Ok(())
}
