//! `lookup('password', 'path length=…')`: a random password, kept in a file on the controller.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::super::call::{fail, items};
use super::super::filters::{HashSettings, hash_password, salt};
use super::super::lazy::Context;
use super::super::python::random::Random;
use super::super::python::text;
use super::{Lookup, Terms};

pub(super) static ALL: &[Lookup] = &[Lookup {
    name: "password",
    doc: "A random password, kept in a file on the controller.",
    options: &["length", "chars", "encrypt", "ident", "seed"],
    run: |t| t.texts()?.iter().map(|term| password(t, term).map(Value::from)).collect(),
}];

/// What is asked for, by options or in the term.
struct Wanted {
    path: String,
    length: usize,
    chars: Vec<char>,
    encrypt: Option<String>,
    ident: Option<String>,
    seed: Option<Value>,
}

fn password(t: &Terms, term: &str) -> Result<String, Error> {
    let wanted = wanted(t, term)?;
    let ctx = Context::of(t.call.state)?;
    let path = match wanted.path.strip_prefix("~/") {
        Some(rest) => Path::new(&std::env::var("HOME").unwrap_or_default()).join(rest),
        None => ctx.scope.engine.basedir.join(&wanted.path),
    };
    let kept = if path == Path::new("/dev/null") { None } else { read(&path)? };
    let mut changed = kept.is_none();
    let (plain, mut salted, mut ident) = match kept {
        Some(content) => parse(&content),
        None => (draw(&wanted)?, None, None),
    };
    if let Some(kind) = &wanted.encrypt
        && salted.is_none()
    {
        changed = true;
        salted = Some(salt(kind, (!matches!(kind.as_str(), "bcrypt" | "blowfish")).then_some(8))?);
    }
    match (&ident, &wanted.ident) {
        (Some(kept), Some(given)) if kept != given => {
            return Err(fail(format!("the ident parameter provided ({given}) does not match the stored one ({kept})")));
        }
        (None, given) => ident.clone_from(given),
        _ => {}
    }
    if changed && path != Path::new("/dev/null") {
        let salted = salted.as_ref().map_or_else(String::new, |s| format!(" salt={s}"));
        let ident = ident.as_ref().filter(|_| !salted.is_empty()).map_or_else(String::new, |i| format!(" ident={i}"));
        write(&path, &format!("{plain}{salted}{ident}\n"))
            .map_err(|e| fail(format!("cannot write {}: {e}", path.display())))?;
    }
    match &wanted.encrypt {
        None => Ok(plain),
        Some(kind) => hash_password(&plain, kind, &HashSettings { salt: salted, ident, ..Default::default() }),
    }
}

fn wanted(t: &Terms, term: &str) -> Result<Wanted, Error> {
    let mut words = term.split(' ');
    let mut path = words.next().unwrap_or_default().to_owned();
    let mut given: Vec<(String, Value)> = t.call.named.clone();
    for word in words.filter(|w| !w.is_empty()) {
        match word.split_once('=') {
            Some((key @ ("length" | "chars" | "encrypt" | "ident" | "seed"), value)) => {
                given.push((key.to_owned(), Value::from(value.trim_matches(['\'', '"']))));
            }
            Some((key, _)) => return Err(fail(format!("unrecognized parameter given to the password lookup: {key}"))),
            None => path = format!("{path} {word}"),
        }
    }
    let get = |name: &str| given.iter().rev().find(|(k, v)| k == name && !v.is_none()).map(|(_, v)| v.clone());
    let text_of = |name: &str| get(name).map(|v| text::str(&v)).transpose();
    let length = text_of("length")?.map_or(Ok(20), |n| n.parse().map_err(|_| fail(format!("'{n}' is no length"))))?;
    let specs: Vec<String> = match get("chars") {
        None => ["ascii_letters", "digits", ".,:-_"].map(str::to_owned).to_vec(),
        Some(list) if list.kind() == ValueKind::Seq => {
            items(&list)??.iter().map(text::str).collect::<Result<_, _>>()?
        }
        Some(names) => {
            let names = text::str(&names)?;
            let comma = names.contains(",,").then(|| ",".to_owned());
            let rest = names.replace(",,", ",");
            comma.into_iter().chain(rest.split(',').filter(|s| !s.is_empty()).map(str::to_owned)).collect()
        }
    };
    let chars: String = specs.iter().map(|spec| letters(spec)).collect();
    let chars = chars.chars().filter(|c| !matches!(c, '"' | '\'')).collect::<Vec<_>>();
    if chars.is_empty() {
        return Err(fail("a password needs letters to choose from"));
    }
    Ok(Wanted { path, length, chars, encrypt: text_of("encrypt")?, ident: text_of("ident")?, seed: get("seed") })
}

/// The letters that a name of Python's module `string` stands for; else the letters themselves.
fn letters(spec: &str) -> String {
    let (lower, digits) = ("abcdefghijklmnopqrstuvwxyz", "0123456789");
    let punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    match spec {
        "ascii_letters" => lower.to_owned() + &lower.to_uppercase(),
        "ascii_lowercase" => lower.into(),
        "ascii_uppercase" => lower.to_uppercase(),
        "digits" => digits.into(),
        "hexdigits" => format!("{digits}abcdefABCDEF"),
        "octdigits" => "01234567".into(),
        "punctuation" => punctuation.into(),
        "whitespace" => " \t\n\r\u{b}\u{c}".into(),
        "printable" => format!("{digits}{lower}{}{punctuation} \t\n\r\u{b}\u{c}", lower.to_uppercase()),
        other => other.into(),
    }
}

fn draw(wanted: &Wanted) -> Result<String, Error> {
    if wanted.seed.is_some() {
        let mut random = Random::new(wanted.seed.as_ref())?;
        return Ok((0..wanted.length).map(|_| wanted.chars[random.below(wanted.chars.len())]).collect());
    }
    // A password is worth the system's own randomness for each letter.
    let mut source = fs::File::open("/dev/urandom").map_err(|e| fail(format!("cannot open /dev/urandom: {e}")))?;
    let mut next = || -> Result<u32, Error> {
        let mut bytes = [0; 4];
        std::io::Read::read_exact(&mut source, &mut bytes)
            .map_err(|e| fail(format!("cannot read /dev/urandom: {e}")))?;
        Ok(u32::from_le_bytes(bytes))
    };
    let count = u32::try_from(wanted.chars.len()).unwrap_or(u32::MAX);
    let fair = u32::MAX - u32::MAX % count;
    let mut out = String::new();
    while out.chars().count() < wanted.length {
        let drawn = next()?;
        if drawn < fair {
            out.push(wanted.chars[(drawn % count) as usize]);
        }
    }
    Ok(out)
}

fn read(path: &PathBuf) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content.trim_end().to_owned())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fail(format!("cannot read {}: {e}", path.display()))),
    }
}

/// The password, its salt and the version of its hash.
fn parse(content: &str) -> (String, Option<String>, Option<String>) {
    let Some((plain, rest)) = content.rsplit_once(" salt=") else { return (content.to_owned(), None, None) };
    match rest.rsplit_once(" ident=") {
        Some((salt, ident)) => (plain.into(), Some(salt.into()), Some(ident.into())),
        None => (plain.into(), Some(rest.into()), None),
    }
}

/// Complete or not at all, and for nobody else to read.
fn write(path: &Path, content: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let temporary =
        dir.join(format!(".{}.{}", path.file_name().unwrap_or_default().to_string_lossy(), std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
