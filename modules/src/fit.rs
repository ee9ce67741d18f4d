//! Fitting: how what a playbook says is brought into the shape that a module wants. The controller's part of a module.
//!
//! A module's struct describes its parameters as JSON Schema. [`fit`] brings rendered values into that shape the way
//! Ansible does (`yes` for a boolean, `5` for a text, one thing for a list of one), so that modules need not.
//! Four extensions of the schema are ours: `aliases` (other names of a parameter), `secret` (it takes a secret as such),
//! `public` (it must not be given a secret: everybody on the host can see it) and `internal` (the engine fills it in).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::module::Entry;
use crate::param::{SECRET_KEY, as_secret, describe, nearest, truth};

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name as written; with a path into it where that is deeper (`args[2]`). Empty: the module as a whole.
    pub param: String,
    /// A lowercase fragment: what is wrong and what was expected.
    pub reason: String,
    /// What the user can do.
    pub hint: Option<String>,
    /// What Ansible says in the same case: what the task registers as `msg`.
    pub msg: Option<String>,
}

impl Problem {
    fn new(param: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { param: param.into(), reason: reason.into(), hint: None, msg: None }
    }
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    fn msg(mut self, msg: String) -> Self {
        self.msg = Some(msg);
        self
    }
}

/// Unknown and missing names among those given.
pub(crate) fn check_names<'a>(schema: &Value, module: &str, given: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
    let params = Params { schema };
    let mut seen = Vec::new();
    let mut problems = Vec::new();
    for name in given {
        match params.canonical(name) {
            Some(canonical) => seen.push(canonical),
            None if params.takes_any() => {}
            None => {
                problems.push(params.unknown(module, name));
                // One mistake, one message: a misspelt parameter is not a missing one as well.
                seen.extend(params.nearest(name));
            }
        }
    }
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !seen.contains(&required) {
            problems.push(Problem::new("", format!("`{module}` needs the parameter `{required}`")));
        }
    }
    problems
}

/// A parameter's own name.
pub(crate) fn canonical(schema: &Value, name: &str) -> Option<String> {
    Params { schema }.canonical(name).map(str::to_owned)
}

/// Brings rendered parameters into the shape that the schema describes.
pub(crate) fn fit(schema: &Value, module: &str, params: Value) -> Result<Value, Problem> {
    let known = Params { schema };
    let Value::Object(given) = params else {
        return Err(Problem::new("", format!("the parameters of `{module}` must be a dictionary")));
    };
    let mut fitted = Map::new();
    for (name, value) in given {
        let Some(canonical) = known.canonical(&name) else {
            if known.takes_any() {
                fitted.insert(name, value);
            } else if !value.is_null() {
                return Err(known.unknown(module, &name));
            }
            continue;
        };
        // As in Ansible, null means "not given", but to what shows whatever it is given.
        if value.is_null() {
            if schema["properties"][canonical]["null"] == true {
                fitted.insert(canonical.to_owned(), value);
            }
            continue;
        }
        let value = convert(&name, &schema["properties"][canonical], value)?;
        if fitted.insert(canonical.to_owned(), value).is_some() {
            return Err(Problem::new(name, format!("given twice: it is another name for `{canonical}`")));
        }
    }
    Ok(Value::Object(fitted))
}

/// Parameters of which none is missing.
pub(crate) fn whole(schema: &Value, module: &str, fitted: Value) -> Result<Value, Problem> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<&str> = required.filter(|name| fitted.get(*name).is_none()).collect();
    match missing.first() {
        None => Ok(fitted),
        // It may also be written without its name.
        Some(&"cmd") => Err(Problem::new("cmd", format!("`{module}` needs this parameter"))
            .msg("one of the following is required: _raw_params, cmd".into())),
        // Its own words in Ansible.
        Some(&"dest") if module == "copy" => {
            Err(Problem::new("dest", format!("`{module}` needs this parameter")).msg("dest is required".into()))
        }
        Some(first) => Err(Problem::new(*first, format!("`{module}` needs this parameter"))
            .msg(format!("missing required arguments: {}", missing.join(", ")))),
    }
}

/// A module's [`shape`]: computed once, read for every task of every host.
pub(crate) fn shape_of(entry: &Entry) -> Arc<Value> {
    static SHAPES: Mutex<BTreeMap<&str, Arc<Value>>> = Mutex::new(BTreeMap::new());
    let mut shapes = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shapes.entry(entry.name).or_insert_with(|| Arc::new(shape(&entry.schema()))))
}

/// A schema without its texts, and with what it refers to in place.
fn shape(schema: &Value) -> Value {
    let mut shape = schema.clone();
    for property in shape["properties"].as_object_mut().into_iter().flatten().map(|(_, property)| property) {
        *property = resolved(schema, property);
    }
    if let Some(whole) = shape.as_object_mut() {
        whole.retain(|key, _| ["properties", "required", "additionalProperties"].contains(&key.as_str()));
    }
    shape
}

/// A schema within another, without references and without "or null". Extensions beside a `$ref` are kept.
fn resolved(whole: &Value, schema: &Value) -> Value {
    let mut outer = schema.clone();
    let target = match (schema["$ref"].as_str(), schema["anyOf"].as_array()) {
        (Some(reference), _) => whole.pointer(reference.trim_start_matches('#')).map(|target| resolved(whole, target)),
        (None, Some(options)) => options.iter().find(|option| option["type"] != "null").map(|one| resolved(whole, one)),
        (None, None) => None,
    };
    let Some(fields) = outer.as_object_mut() else { return outer };
    if let Some(Value::Object(target)) = target {
        fields.remove("$ref");
        fields.remove("anyOf");
        for (key, value) in target {
            fields.entry(key).or_insert(value);
        }
    }
    fields.retain(|key, _| key != "description" && key != "default");
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            *inner = resolved(whole, inner);
        }
    }
    for property in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        *property.1 = resolved(whole, property.1);
    }
    outer
}

/// A module's parameters as its shape tells them.
struct Params<'a> {
    schema: &'a Value,
}

impl<'a> Params<'a> {
    fn properties(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.schema["properties"].as_object().into_iter().flatten()
    }

    /// A module such as `set_fact` takes any name.
    fn takes_any(&self) -> bool {
        self.schema["additionalProperties"] != Value::Bool(false)
    }

    fn canonical(&self, name: &str) -> Option<&'a str> {
        let is_alias = |schema: &Value| {
            schema["aliases"].as_array().is_some_and(|aliases| aliases.iter().any(|alias| alias == name))
        };
        self.properties().find(|(key, schema)| *key == name || is_alias(schema)).map(|(key, _)| key.as_str())
    }

    /// The names that a person may write.
    fn written(&self) -> impl Iterator<Item = &'a str> {
        let written = self.properties().filter(|(_, schema)| schema["internal"] != true);
        written.map(|(key, _)| key.as_str())
    }

    fn nearest(&self, name: &str) -> Option<&'a str> {
        nearest(name, self.written())
    }

    fn unknown(&self, module: &str, name: &str) -> Problem {
        let mut supported: Vec<&str> = self.written().collect();
        supported.sort_unstable();
        // What `shell` refuses itself, it refuses in other words.
        let supported = match (module, name) {
            ("shell", "expand_argument_vars") => String::new(),
            _ => format!(". Supported parameters include: {}.", supported.join(", ")),
        };
        let msg = format!("Unsupported parameters for ({module}) module: {name}{supported}");
        let problem = Problem::new(name, format!("`{module}` has no parameter `{name}`")).msg(msg);
        match self.nearest(name) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("it takes {}", self.written().collect::<Vec<_>>().join(", "))),
        }
    }
}

fn convert(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    if let Some(secret) = as_secret(&value) {
        return take_secret(name, schema, secret);
    }
    match kind(schema) {
        "boolean" => boolean(name, value),
        "string" => string(name, schema, value),
        "integer" | "number" => Ok(number(value)),
        "array" => array(name, schema, value),
        "object" => object(name, schema, value),
        _ => Ok(value),
    }
}

/// As Ansible has it: one value is a list of one, a text with commas is split.
fn array(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    let items = &schema["items"];
    let values = match value {
        Value::Array(values) => values,
        Value::String(text) if kind(items) == "string" => {
            text.split(',').map(|part| Value::String(part.trim().into())).filter(|part| part != "").collect()
        }
        single => vec![single],
    };
    let convert = |(at, value)| convert(&format!("{name}[{at}]"), items, value);
    values.into_iter().enumerate().map(convert).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn object(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    let Value::Object(entries) = value else {
        return Err(Problem::new(name, format!("must be a dictionary, not {}", describe(&value))));
    };
    let convert = |(key, value): (String, Value)| {
        let known = &schema["properties"][&key];
        let wanted = if known.is_null() { &schema["additionalProperties"] } else { known };
        let path = format!("{name}.{key}");
        Ok((key, convert(&path, wanted, value)?))
    };
    entries.into_iter().map(convert).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
        _ if schema["enum"].is_array() || schema["oneOf"].is_array() => "string",
        _ => "",
    }
}

fn take_secret(name: &str, schema: &Value, secret: &str) -> Result<Value, Problem> {
    if schema["public"] == true {
        return Err(Problem::new(name, "is given a secret, but every user of the host can see it while it runs")
            .hint("hand it over by `stdin` or `environment`"));
    }
    if schema["secret"] == true || kind(schema).is_empty() {
        return Ok(json!({ SECRET_KEY: secret }));
    }
    convert(name, schema, Value::String(secret.into())).map_err(|problem| Problem {
        reason: format!("the secret given has the wrong type; {} expected", kind(schema)),
        ..problem
    })
}

fn boolean(name: &str, value: Value) -> Result<Value, Problem> {
    let refused = || {
        let (kind, shown) = python(&value);
        Problem::new(name, format!("must be true or false, not {}", describe(&value))).msg(format!(
            "argument '{name}' is of type {kind} and we were unable to convert to bool: The value {shown} is not a valid \
             boolean. Valid booleans include: 'y', 'yes', 'on', '1', 'true', 't', 1, 1.0, True, 'n', 'no', 'off', '0', \
             'false', 'f', 0, 0.0, False"
        ))
    };
    let text = match &value {
        Value::Bool(_) => return Ok(value),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(refused()),
    };
    truth(&text).map(Value::Bool).ok_or_else(refused)
}

/// The type of a value and the value as Python names them, for Ansible's words.
fn python(value: &Value) -> (&'static str, String) {
    match value {
        Value::Null => ("NoneType", "None".into()),
        Value::Bool(flag) => ("bool", if *flag { "True".into() } else { "False".into() }),
        Value::Number(number) if number.is_f64() => ("float", number.to_string()),
        Value::Number(number) => ("int", number.to_string()),
        Value::String(text) => ("str", format!("'{text}'")),
        Value::Array(_) => ("list", value.to_string()),
        Value::Object(_) => ("dict", value.to_string()),
    }
}

fn string(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    let text = match value {
        Value::String(text) => text,
        // As Ansible has it: a boolean where one of the choices is a word for it means that.
        Value::Bool(flag) => {
            let words = if flag { ["yes", "true", "on"] } else { ["no", "false", "off"] };
            let choices = choices(schema);
            let word = words.into_iter().find(|word| choices.contains(word));
            word.unwrap_or(if flag { "True" } else { "False" }).into()
        }
        Value::Number(number) => number.to_string(),
        other => return Err(Problem::new(name, format!("must be a text, not {}", describe(&other)))),
    };
    let choices = choices(schema);
    if choices.is_empty() || choices.contains(&text.as_str()) {
        return Ok(Value::String(text));
    }
    let problem = Problem::new(name, format!("must be one of {}, not `{text}`", choices.join(", "))).msg({
        let mut sorted = choices.clone();
        sorted.sort_unstable();
        format!("value of {name} must be one of: {}, got: {text}", sorted.join(", "))
    });
    Err(match nearest(&text, choices.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}

/// The variants of an enum, documented (`oneOf` of constants) or not.
fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    let documented = documented.flat_map(|one| match one["enum"].as_array() {
        Some(several) => several.iter().collect(),
        None => vec![&one["const"]],
    });
    listed.chain(documented).filter_map(Value::as_str).collect()
}

fn number(value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    let text = text.trim();
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;
    use crate::param::{Content, Mode, Word};
    use crate::secret::Secret;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Sample {
        #[schemars(extend("aliases" = ["dest"]))]
        path: String,
        #[serde(default)]
        force: bool,
        count: Option<u32>,
        state: Option<State>,
        upgrade: Option<Upgrade>,
        #[serde(default)]
        names: Vec<String>,
        mode: Option<Mode>,
        password: Option<Secret>,
        line: Option<Content>,
        cmd: Option<Word>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum State {
        /// There.
        Present,
        /// Not there.
        Absent,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Upgrade {
        /// All.
        Yes,
        /// With more.
        Dist,
    }

    fn sample() -> Value {
        shape(&schemars::schema_for!(Sample).to_value())
    }

    #[test]
    fn values_are_fitted_as_ansible_does() {
        let table = [
            (json!({"dest": "/a"}), json!({"path": "/a"})),
            (json!({"path": 5}), json!({"path": "5"})),
            (json!({"force": "yes"}), json!({"force": true})),
            (json!({"force": 0}), json!({"force": false})),
            (json!({"count": "12"}), json!({"count": 12})),
            (json!({"count": null}), json!({})),
            (json!({"names": "a, b"}), json!({"names": ["a", "b"]})),
            (json!({"names": 1}), json!({"names": ["1"]})),
            (json!({"state": "absent"}), json!({"state": "absent"})),
            (json!({"upgrade": true}), json!({"upgrade": "yes"})),
            (json!({"upgrade": "dist"}), json!({"upgrade": "dist"})),
            (json!({"path": {"$secret": "x"}}), json!({"path": "x"})),
            (json!({"password": {"$secret": "x"}}), json!({"password": {"$secret": "x"}})),
            (json!({"line": {"$secret": "x"}}), json!({"line": {"$secret": "x"}})),
        ];
        for (given, wanted) in table {
            assert_eq!(fit(&sample(), "sample", given.clone()), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let table = [
            (json!({"pth": "/a"}), "`sample` has no parameter `pth`; did you mean `path`?"),
            (json!({"force": "maybe"}), "must be true or false, not `maybe`; "),
            (json!({"state": "absnt"}), "must be one of present, absent, not `absnt`; did you mean `absent`?"),
            (json!({"path": ["a"]}), "must be a text, not a list; "),
            (json!({"path": "a", "dest": "b"}), "given twice: it is another name for `path`; "),
            (
                json!({"cmd": {"$secret": "x"}}),
                "is given a secret, but every user of the host can see it while it runs; hand it over by `stdin` or `environment`",
            ),
        ];
        for (given, wanted) in table {
            let problem = fit(&sample(), "sample", given).unwrap_err();
            assert_eq!(format!("{}; {}", problem.reason, problem.hint.unwrap_or_default()), wanted);
        }
    }

    #[test]
    fn names_are_checked_before_values_are_known() {
        let (unknown, missing) = ("`sample` has no parameter", "`sample` needs the parameter `path`");
        let table = [
            ("forse", vec![format!("{unknown} `forse`"), missing.to_owned()]),
            ("pth", vec![format!("{unknown} `pth`")]),
            ("force", vec![missing.to_owned()]),
        ];
        for (given, wanted) in table {
            let problems = check_names(&sample(), "sample", [given]);
            assert_eq!(problems.into_iter().map(|problem| problem.reason).collect::<Vec<_>>(), wanted, "{given}");
        }
    }
}
