//! One parameter: its value as the type that a module wants, by Ansible's rules of conversion
//! (`module_utils/common/validation.py`), and in its words where it cannot be converted.

use serde_json::{Map, Value, json};

use super::Problem;
use crate::param::{SECRET_KEY, as_secret, describe, nearest, python_type, truth};

pub(super) fn convert(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    if let Some(secret) = as_secret(&value) {
        return take_secret(name, schema, secret);
    }
    match kind(schema) {
        "boolean" => boolean(name, value),
        "string" => string(name, schema, value),
        "integer" => integer(name, value),
        "number" => float(name, value),
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
        Value::Object(_) if kind(items) != "object" && !kind(items).is_empty() => {
            let problem = Problem::new(name, "must be a list, not a dictionary");
            return Err(problem.msg(unconverted(name, &value, "list", "<class 'dict'> cannot be converted to a list")));
        }
        single => vec![single],
    };
    let convert = |(at, value): (usize, Value)| {
        let given = value.clone();
        convert(&format!("{name}[{at}]"), items, value).map_err(|problem| element(name, &given, problem))
    };
    values.into_iter().enumerate().map(convert).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// Ansible names the parameter of a list's element, not where in it the element stands.
fn element(name: &str, value: &Value, mut problem: Problem) -> Problem {
    let Some(msg) = &problem.msg else { return problem };
    let of_type = msg.find(" is of type ").filter(|_| msg.starts_with("argument "));
    if let Some(rest) = of_type.map(|at| &msg[at..]) {
        problem.msg = Some(format!("Elements value for option '{name}'{}", rest));
    } else if let Some((choices, _)) =
        msg.split_once(" must be one of: ").and_then(|(_, rest)| rest.rsplit_once(", got: "))
    {
        let shown = value.as_str().map_or_else(|| python(value).1, str::to_owned);
        problem.msg = Some(format!("value of {name} must be one or more of: {choices}. Got no match for: {shown}"));
    }
    problem
}

fn object(name: &str, schema: &Value, value: Value) -> Result<Value, Problem> {
    let entries = match value {
        Value::Object(entries) => entries,
        other => pairs(&other).map_err(|why| {
            let problem = Problem::new(name, format!("must be a dictionary, not {}", describe(&other)));
            problem.msg(unconverted(name, &other, "dict", &why))
        })?,
    };
    let convert = |(key, value): (String, Value)| {
        let known = &schema["properties"][&key];
        let wanted = if known.is_null() { &schema["additionalProperties"] } else { known };
        let path = format!("{name}.{key}");
        Ok((key, convert(&path, wanted, value)?))
    };
    entries.into_iter().map(convert).collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// A dictionary written as a text, as Ansible takes it: JSON, or `name=value` with commas or blanks between. Or why not, in its
/// words.
fn pairs(value: &Value) -> Result<Map<String, Value>, String> {
    let Value::String(text) = value else {
        return Err(format!("<class '{}'> cannot be converted to a dict", python(value).0));
    };
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|_| "unable to evaluate string as dictionary".to_owned());
    }
    if !text.contains('=') {
        return Err("dictionary requested, could not parse JSON or key=value".to_owned());
    }
    let pair = |word: String| {
        let (key, value) = word.split_once('=')?;
        Some((key.to_owned(), Value::from(value)))
    };
    let pairs = words(text.trim()).into_iter().map(pair).collect::<Option<Map<_, _>>>();
    pairs.ok_or_else(|| "unable to evaluate string in the \"key=value\" format as dictionary".to_owned())
}

/// The words of a text, between which there are commas and blanks; with quotes around what has some in it.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match c {
            _ if std::mem::take(&mut escaped) => word.push(c),
            '\\' => escaped = true,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            ',' | ' ' if quote.is_none() => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
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
        let why = match python(&value) {
            (kind @ ("list" | "dict"), _) => format!("<class '{kind}'> cannot be converted to a bool"),
            (_, shown) => format!(
                "The value {shown} is not a valid boolean. Valid booleans include: 'y', 'yes', 'on', '1', 'true', 't', 1, 1.0, \
                 True, 'n', 'no', 'off', '0', 'false', 'f', 0, 0.0, False"
            ),
        };
        let problem = Problem::new(name, format!("must be true or false, not {}", describe(&value)));
        problem.msg(unconverted(name, &value, "bool", &why))
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
    let shown = match value {
        Value::Null => "None".into(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Value::String(text) => format!("'{text}'"),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    (python_type(value), shown)
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
    let enumerated =
        schema["enum"].as_array().or_else(|| schema["listed"].as_array().filter(|_| !schema["oneOf"].is_array()));
    let listed = enumerated.into_iter().flatten();
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    let documented = documented.flat_map(|one| match one["enum"].as_array() {
        Some(several) => several.iter().collect(),
        None => vec![&one["const"]],
    });
    listed.chain(documented).filter_map(Value::as_str).collect()
}

/// As Ansible has it: what is a whole number, however it is written.
fn integer(name: &str, value: Value) -> Result<Value, Problem> {
    let whole = match &value {
        Value::Number(number) if !number.is_f64() => return Ok(value),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => number.as_f64().and_then(whole),
        Value::String(text) => {
            let text = text.trim();
            text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        _ => None,
    };
    whole.map(Value::from).ok_or_else(|| {
        let problem = Problem::new(name, format!("must be a whole number, not {}", describe(&value)));
        problem.msg(unconverted(
            name,
            &value,
            "int",
            &format!("\"{}\" cannot be converted to an int", python(&value).1),
        ))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it has no fraction, and what is beyond is not the same afterwards"
)]
#[expect(clippy::cast_precision_loss, reason = "see there")]
fn whole(number: f64) -> Option<i64> {
    let cut = number as i64;
    (cut as f64 == number).then_some(cut)
}

fn float(name: &str, value: Value) -> Result<Value, Problem> {
    let number = match &value {
        Value::Number(_) => return Ok(value),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    number.map(Value::from).ok_or_else(|| {
        let why = format!("<class '{}'> cannot be converted to a float", python(&value).0);
        let problem = Problem::new(name, format!("must be a number, not {}", describe(&value)));
        problem.msg(unconverted(name, &value, "float", &why))
    })
}

/// Ansible's words for a value that is not of the type that its module wants.
fn unconverted(name: &str, value: &Value, wanted: &str, why: &str) -> String {
    format!("argument '{name}' is of type {} and we were unable to convert to {wanted}: {why}", python(value).0)
}
