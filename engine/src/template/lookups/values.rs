//! Lookups of values: the environment, variables, commands.

use std::process::Command;

use minijinja::Error;
use minijinja::value::Value;

use super::super::call::{fail, fail_told};
use super::super::lazy::Context;
use super::super::{environment, filters};
use super::{Lookup, Terms};

pub(super) static ALL: &[Lookup] = &[
    Lookup { name: "env", doc: "Environment variables of the controller.", options: &["default"], run: env },
    Lookup { name: "vars", doc: "Variables by name.", options: &["default"], run: vars },
    Lookup { name: "varnames", doc: "Names of variables that match.", options: &[], run: varnames },
    Lookup { name: "pipe", doc: "The output of a shell command on the controller.", options: &[], run: pipe },
    Lookup {
        name: "lines",
        doc: "The lines a shell command on the controller writes.",
        options: &[],
        run: |t| {
            let mut out = Vec::new();
            for command in t.texts()? {
                out.extend(shell(t, &command)?.lines().map(Value::from));
            }
            Ok(out)
        },
    },
    Lookup {
        name: "url",
        doc: "Not supported.",
        options: &["*"],
        run: |_| Err(fail("the lookup 'url' is not supported: fetch the file with a task")),
    },
    Lookup {
        name: "config",
        doc: "Not supported.",
        options: &["*"],
        run: |_| Err(fail("the lookup 'config' is not supported: there is no ansible.cfg here")),
    },
];

fn env(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let default = t.option("default").cloned();
    let read = |name: &String| match std::env::var(name) {
        Ok(value) => Ok(Value::from(value)),
        Err(_) => match &default {
            Some(value) => Ok(value.clone()),
            None => Ok(Value::from("")),
        },
    };
    t.texts()?.iter().map(read).collect()
}

fn vars(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let ctx = Context::of(t.call.state)?;
    let default = t.option("default").cloned();
    let read = |name: &String| {
        ctx.variable(name).or_else(|| default.clone()).unwrap_or_else(|| {
            let names = ctx.vars.names();
            let near = environment::closest(name, names.iter().map(String::as_str));
            let ours = match near {
                Some(near) => format!("no variable '{name}' was found; did you mean '{near}'?"),
                None => format!("no variable '{name}' was found"),
            };
            ctx.not_needed(&fail_told(ours, format!("No variable named '{name}' was found.")))
        })
    };
    Ok(t.texts()?.iter().map(read).collect())
}

fn varnames(t: &mut Terms) -> Result<Vec<Value>, Error> {
    let mut names = Context::of(t.call.state)?.vars.names();
    names.sort();
    let mut out = Vec::new();
    for pattern in t.texts()? {
        let regex = filters::compile(&pattern, false, false)?;
        out.extend(names.iter().filter(|n| regex.is_match(n).unwrap_or(false)).map(Value::from));
    }
    Ok(out)
}

fn pipe(t: &mut Terms) -> Result<Vec<Value>, Error> {
    t.texts()?.iter().map(|command| shell(t, command).map(|out| Value::from(out.trim_end()))).collect()
}

/// What a command says, which begins where the playbook is.
fn shell(t: &Terms, command: &str) -> Result<String, Error> {
    let dir = Context::of(t.call.state)?.variable("playbook_dir").and_then(|dir| dir.as_str().map(str::to_owned));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]);
    if let Some(dir) = dir {
        shell.current_dir(dir);
    }
    let output = shell.output();
    let output = output.map_err(|e| fail(format!("cannot run '{command}': {e}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap_or(-1);
        return Err(fail_told(
            format!("'{command}' failed ({}): {}", output.status, reason.trim()),
            format!("lookup_plugin.pipe({command}) returned {code}"),
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| fail(format!("the output of '{command}' is not text")))
}
