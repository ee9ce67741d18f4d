//! `pip`: Python packages.

mod requirement;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::requirement::{Requirement, flattened};
use super::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Look};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::{Word, first_word};
use crate::plan::{Data, Plan};

/// Python packages, by the host's pip or that of a virtual environment, which is made if it is not there. What is there in a
/// version that is allowed stays; what pip would do to anything else is known when it has done it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pip {
    /// Packages, with the versions that are allowed (`django>=4,<5`), or addresses.
    #[serde(default)]
    name: Vec<Word>,
    /// The version of the one package.
    version: Option<Word>,
    /// A file of the host that lists packages.
    requirements: Option<Word>,
    /// The directory of a virtual environment.
    virtualenv: Option<PathBuf>,
    /// Whether what is made sees the host's own packages.
    #[serde(default)]
    virtualenv_site_packages: bool,
    /// What makes one, such as `python3 -m venv`.
    #[serde(default = "virtualenv")]
    virtualenv_command: Word,
    /// The Python that virtualenv(1) puts there.
    virtualenv_python: Option<Word>,
    /// Whether they are installed.
    #[serde(default)]
    #[schemars(extend("listed" = ["present", "absent", "latest", "forcereinstall"]))]
    state: State,
    /// More options for pip.
    extra_args: Option<Word>,
    /// Whether addresses are installed to be edited in place.
    #[serde(default)]
    editable: bool,
    /// Where pip runs.
    chdir: Option<PathBuf>,
    /// The pip to use, by its name or path.
    executable: Option<Word>,
    /// What new files are not for, in octal.
    umask: Option<Word>,
    /// Whether packages of the system's own package manager may be changed.
    #[serde(default)]
    break_system_packages: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum State {
    /// In a version that is allowed.
    #[default]
    Present,
    /// Not installed.
    Absent,
    /// In the newest.
    Latest,
    /// Installed anew, each time.
    ForceReinstall,
}

fn virtualenv() -> Word {
    Word("virtualenv".into())
}

/// Runs pip with a umask, and with the virtual environment's programs first: `$1` and `$2` say so.
const RUN: &str = r#"[ -z "$1" ] || umask "$1"; [ -z "$2" ] || PATH=$2:$PATH; export PATH; shift 2; exec "$@""#;

impl Module for Pip {
    const NAME: &'static str = "pip";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let packages = self.packages()?;
        let env = self.env();
        let made = match &env {
            Some(env) if host.stat(&env.join("bin/activate"))?.is_none() => Some(self.making(host, env)?),
            _ => None,
        };
        let pip = self.pip(host, made.is_some())?;
        let words = self.words(&pip, &packages);
        let plan = self.told(&words);
        if made.is_none() && self.is_settled(host, &pip, &packages)? {
            return Ok(plan.returning("stdout", "").returning("stderr", ""));
        }
        let mut plan = plan;
        if let (Some(made), Some(env)) = (made, &env) {
            let diff = Diff::new(env.display().to_string(), "virtual environment", Shown::Absent, "made");
            plan.edits.push(Edit::run(made, vec![diff], Reach::Anything));
        }
        plan.edits.push(Edit::run(self.run(words), self.diffs(&packages), Reach::Anything));
        Ok(plan)
    }

    fn intent(&self) -> Vec<Diff> {
        self.packages().map(|packages| self.diffs(&packages)).unwrap_or_default()
    }

    /// Files with requirements, addresses and newest versions are for pip alone to know.
    fn converges(&self) -> bool {
        let plain = |name: &Word| !name.0.contains("://") && !name.0.contains('/');
        self.requirements.is_none()
            && self.extra_args.is_none()
            && matches!(self.state, State::Present | State::Absent)
            && self.name.iter().all(plain)
    }

    fn verdict(&self, applied: &Applied) -> Result<bool, Error> {
        let said = |words: &str| applied.outputs.iter().any(|output| output.stdout.contains(words));
        let made = applied.diffs.iter().any(|diff| diff.aspect == "virtual environment");
        Ok(made
            || said(if self.state == State::Absent { "Successfully uninstalled" } else { "Successfully installed" }))
    }

    fn report(&self, applied: &Applied) -> Data {
        if applied.outputs.is_empty() {
            return Data::new();
        }
        let all = |of: fn(&crate::host::Output) -> &str| applied.outputs.iter().map(of).collect::<String>();
        let whole = crate::host::Output {
            stdout: all(|output| &output.stdout),
            stderr: all(|output| &output.stderr),
            ..Default::default()
        };
        let mut data = common::said(&whole);
        if let Some(failed) = applied.outputs.last().filter(|output| !output.success()) {
            let stdout = if failed.stdout.is_empty() { String::new() } else { format!("stdout: {}", whole.stdout) };
            data.insert("msg".into(), format!("{stdout}\n:stderr: {}", whole.stderr).into());
        }
        data
    }
}

impl Pip {
    fn packages(&self) -> Result<Vec<Requirement>, Error> {
        let said = |param: &str, reason: &str, msg: &str| Err(Error::param(param, reason).telling("msg", msg));
        match (self.name.is_empty(), &self.requirements) {
            (true, None) => {
                let msg = "one of the following is required: name, requirements";
                return said("name", "is missing: which packages?", msg);
            }
            (false, Some(_)) => {
                let msg = "parameters are mutually exclusive: name|requirements";
                return said("requirements", "there is a `name` too; give one of them", msg);
            }
            _ => {}
        }
        if self.executable.is_some() && self.virtualenv.is_some() {
            let msg = "parameters are mutually exclusive: executable|virtualenv";
            return said("executable", "a virtual environment has its own pip", msg);
        }
        if self.state == State::Latest && self.version.is_some() {
            return said("version", "has no meaning with `state: latest`", "version is incompatible with state=latest");
        }
        let names: Vec<&str> = self.name.iter().map(|Word(name)| name.as_str()).collect();
        let mut packages: Vec<Requirement> = flattened(&names).iter().map(|text| Requirement::parse(text)).collect();
        if let Some(Word(version)) = &self.version {
            match &mut packages[..] {
                [one] if !one.limits() => *one = one.with(version),
                [_] => {
                    let msg = "The 'version' argument conflicts with any version specifier provided along with a package name. Please keep the version specifier, but remove the 'version' argument.";
                    return said("version", "`name` says one too; give one of them", msg);
                }
                _ => {
                    let msg = "'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.";
                    return said("version", "is of which package? Say `NAME==VERSION` in `name`", msg);
                }
            }
        }
        Ok(packages)
    }

    fn env(&self) -> Option<PathBuf> {
        let env = self.virtualenv.as_ref()?;
        Some(self.chdir.as_ref().map_or(env.clone(), |dir| dir.join(env)))
    }

    fn dir(&self) -> PathBuf {
        self.chdir.clone().unwrap_or_else(|| "/tmp".into())
    }

    /// The command that makes the virtual environment.
    fn making(&self, host: &dyn Host, env: &Path) -> Result<Command, Error> {
        let mut words: Vec<String> = split(&self.virtualenv_command.0);
        let Some(program) = words.first().cloned().filter(|program| !program.is_empty()) else {
            return Err(Error::param("virtualenv_command", "is empty: what makes a virtual environment?"));
        };
        if !program.contains('/') {
            words[0] = common::whole_path(host, &program)?;
            if !words[0].starts_with('/') {
                let error = Error::refused(program.as_str(), "is not on this host", "install it by an earlier task");
                let msg = format!("Failed to find required executable \"{program}\" in paths");
                return Err(error.telling("msg", msg));
            }
        }
        words.extend(self.virtualenv_site_packages.then(|| "--system-site-packages".to_owned()));
        let venv = program.ends_with("pyvenv") || words.windows(2).any(|pair| pair == ["-m", "venv"]);
        match (&self.virtualenv_python, venv) {
            (Some(_), true) => {
                let error = Error::param("virtualenv_python", "venv takes the Python that it runs with");
                let msg =
                    "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command";
                return Err(error.telling("msg", msg));
            }
            (Some(Word(python)), false) => words.push(format!("-p{python}")),
            (None, false) => words.push("-p/usr/bin/python3".into()),
            (None, true) => {}
        }
        words.push(env.display().to_string());
        Ok(self.run(words))
    }

    /// The command line of pip itself.
    fn pip(&self, host: &dyn Host, new: bool) -> Result<Vec<String>, Error> {
        if let Some(env) = self.env() {
            let candidates = ["pip3", "pip"].map(|name| env.join("bin").join(name));
            for path in &candidates {
                if new || host.stat(path)?.is_some() {
                    return Ok(vec![path.display().to_string()]);
                }
            }
            let error = Error::path("use", &env, "there is no pip in it");
            let names = "pip3, pip";
            let msg = format!(
                "Unable to find pip in the virtualenv, {},  under any of these names: {names}. Make sure pip is present in the virtualenv.",
                env.display()
            );
            return Err(error.telling("msg", msg));
        }
        if let Some(Word(name)) = &self.executable {
            return Ok(vec![if name.starts_with('/') { name.clone() } else { common::whole_path(host, name)? }]);
        }
        let python = "/usr/bin/python3";
        let has = Command::new(python, ["-c", "import pip"]);
        if host.stat(Path::new(python))?.is_some() && host.query(&has)?.success() {
            return Ok(["/usr/bin/python3", "-m", "pip"].map(str::to_owned).to_vec());
        }
        let found = common::whole_path(host, "pip3")?;
        if found.starts_with('/') {
            return Ok(vec![found]);
        }
        let error = Error::refused("pip3", "is not on this host", "install `python3-pip` by an earlier task");
        Err(error.telling("msg", "Unable to find any of pip3 to use.  pip needs to be installed."))
    }

    fn words(&self, pip: &[String], packages: &[Requirement]) -> Vec<String> {
        let verb: &[&str] = match self.state {
            State::Present => &["install"],
            State::Absent => &["uninstall", "-y"],
            State::Latest => &["install", "-U"],
            State::ForceReinstall => &["install", "-U", "--force-reinstall"],
        };
        let mut words: Vec<String> = pip.iter().cloned().chain(verb.iter().map(|word| (*word).to_owned())).collect();
        let extra = self.extra_args.as_ref().map_or(Vec::new(), |Word(line)| split(line));
        let edits = self.editable && !extra.iter().any(|word| word == "-e");
        words.extend(extra);
        words.extend(edits.then(|| "-e".to_owned()));
        words.extend(packages.iter().map(|package| package.text.clone()));
        words.extend(self.requirements.iter().flat_map(|Word(file)| ["-r".to_owned(), file.clone()]));
        words
    }

    fn run(&self, words: Vec<String>) -> Command {
        let umask = self.umask.as_ref().map_or(String::new(), |Word(umask)| umask.clone());
        let path = self.env().map_or(String::new(), |env| env.join("bin").display().to_string());
        let mut command = match umask.is_empty() && path.is_empty() {
            true => Command::new(words[0].clone(), words[1..].to_vec()),
            false => {
                let head = ["-c", RUN, "pip", &umask, &path].map(str::to_owned);
                Command::new("/bin/sh", head.into_iter().chain(words))
            }
        };
        command.cwd = Some(self.dir());
        if self.break_system_packages { command.env("PIP_BREAK_SYSTEM_PACKAGES", "1") } else { command }
    }

    /// Whether all is as it should be, as far as pip's list tells.
    fn is_settled(&self, host: &dyn Host, pip: &[String], packages: &[Requirement]) -> Look<bool> {
        if packages.is_empty() || matches!(self.state, State::Latest | State::ForceReinstall) {
            return Ok(false);
        }
        let words = pip.iter().cloned().chain(["list", "--format=freeze"].map(str::to_owned)).collect();
        let list = common::asked(host, &self.run(words))?;
        let installed = |package: &Requirement| {
            let lines = list.lines().filter_map(|line| line.split_once("=="));
            lines.filter(|(name, _)| requirement::canonical(name) == package.name).map(|(_, version)| version).next()
        };
        Ok(packages.iter().all(|package| match (installed(package), self.state) {
            (None, State::Absent) => !package.name.is_empty(),
            (Some(_), State::Absent) | (None, _) => false,
            (Some(version), _) => package.allows(version) == Some(true),
        }))
    }

    fn diffs(&self, packages: &[Requirement]) -> Vec<Diff> {
        let after = |package: &Requirement| match self.state {
            State::Absent => Shown::Absent,
            _ => package.exact().map_or(Shown::Unknown, Shown::from),
        };
        let one = |package: &Requirement| {
            let name = if package.name.is_empty() { &package.text } else { &package.name };
            Diff::new(format!("python package {name}"), "version", Shown::Unknown, after(package))
        };
        let file = |Word(file): &Word| {
            Diff::new(format!("python packages of {file}"), "version", Shown::Unknown, Shown::Unknown)
        };
        packages.iter().map(one).chain(self.requirements.iter().map(file)).collect()
    }

    fn told(&self, words: &[String]) -> Plan {
        let state = match self.state {
            State::Present => "present",
            State::Absent => "absent",
            State::Latest => "latest",
            State::ForceReinstall => "forcereinstall",
        };
        let names: Vec<&str> = self.name.iter().map(|Word(name)| name.as_str()).collect();
        let pairs: [(&str, Value); 6] = [
            ("cmd", json!(words)),
            ("name", if names.is_empty() { Value::Null } else { json!(names) }),
            ("version", json!(self.version.as_ref().map(|Word(version)| version))),
            ("state", json!(state)),
            ("requirements", json!(self.requirements.as_ref().map(|Word(file)| file))),
            ("virtualenv", json!(self.env())),
        ];
        pairs.into_iter().fold(Plan::nothing(), |plan, (name, value)| plan.returning(name, value))
    }
}

/// The words of a line, which quotes may keep together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), line);
    while !rest.trim().is_empty() {
        let (word, after) = first_word(rest);
        words.push(word.to_owned());
        rest = after;
    }
    words
}
