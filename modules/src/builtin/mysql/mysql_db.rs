//! `mysql_db`: databases of MySQL or MariaDB.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::login::{config_file, connect_timeout, localhost, port};
use super::quote::{identifier, literal};
use super::{Session, lamented};
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host, Input};
use crate::interpret::Applied;
use crate::module::Module;
use crate::param::Word;
use crate::plan::{Data, Plan};

with_login! {
    /// Databases of a server of MySQL or MariaDB, by mysql(1), which the host must have: that they are there, or gone; or their
    /// content written to a file (mysqldump(1)), or taken from one.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(in crate::builtin) struct MysqlDb {
        /// The databases; `all` of a dump or an import.
        #[schemars(extend("aliases" = ["db"]))]
        name: Vec<Word>,
        /// Whether they are there; or what is done with their content.
        #[serde(default)]
        state: DbState,
        /// The character set of a new one; of dumps and imports, that of the file.
        encoding: Option<Word>,
        /// The collation of a new one.
        collation: Option<Word>,
        /// The file of a dump or an import; `.gz`, `.bz2`, `.xz` and `.zst` are packed.
        target: Option<PathBuf>,
        /// Of dumps: in one transaction.
        #[serde(default)]
        single_transaction: bool,
        /// Of dumps: row by row.
        #[serde(default = "crate::builtin::common::yes")]
        quick: bool,
        /// Of dumps: tables to leave out, each as `database.table`.
        #[serde(default)]
        ignore_tables: Vec<Word>,
        /// Of dumps: binary values in hexadecimal.
        #[serde(default)]
        hex_blob: bool,
        /// Of dumps and imports: go on after errors.
        #[serde(default)]
        force: bool,
        /// Of dumps: without locking tables.
        #[serde(default)]
        skip_lock_tables: bool,
        /// Of dumps: further options of mysqldump(1).
        dump_extra_args: Option<Word>,
        /// Whether `root` without a password is tried first.
        #[serde(default)]
        check_implicit_admin: bool,
        /// Whether the binary log tells of what is made or dropped.
        #[serde(default = "crate::builtin::common::yes")]
        sql_log_bin: bool,
        /// Taken for Ansible's sake: no shell comes between.
        #[serde(default)]
        #[expect(dead_code, reason = "there is nothing that it could change")]
        use_shell: bool,
    }
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum DbState {
    /// There.
    #[default]
    Present,
    /// Not there.
    Absent,
    /// Their content is written to `target`, always.
    Dump,
    /// What `target` holds is executed, always.
    Import,
}

/// What a dump or an import is packed with, by its file's ending.
const PACKERS: [(&str, &str); 4] = [("gz", "gzip"), ("bz2", "bzip2"), ("xz", "xz"), ("zst", "zstd")];

/// `$1` is the packer or nothing, `$2` the file; the rest is the program.
const DUMP: &str = r#"pack=$1 file=$2; shift 2
if [ -z "$pack" ]; then exec "$@" >"$file"; fi
pipe=$(mktemp -u) && mkfifo "$pipe" && trap 'rm -f "$pipe"' EXIT || exit 1
"$pack" <"$pipe" >"$file" & "$@" >"$pipe" && wait $!"#;

const IMPORT: &str = r#"pack=$1 file=$2; shift 2
if [ -z "$pack" ]; then exec "$@" <"$file"; fi
"$pack" -dc "$file" | "$@""#;

impl Module for MysqlDb {
    const NAME: &'static str = "mysql_db";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        let names: Vec<&str> = self.name.iter().map(|Word(name)| name.trim()).collect();
        let plan = Plan::nothing().returning("db", names.join(" ")).returning("db_list", json!(names));
        let moves = matches!(self.state, DbState::Dump | DbState::Import);
        let all = names == ["all"];
        self.possible(&names, moves, all)?;
        if names.is_empty() {
            return Ok(plan);
        }
        let session = self.given().session(host, self.check_implicit_admin)?;
        let there = session.ask(host, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")?;
        let there: Vec<String> = there.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        let (found, missing): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| there.iter().any(|there| there == *name));
        match self.state {
            DbState::Present => Ok(self.made(plan, &session, &missing)),
            DbState::Absent => {
                let drop = |name: &&str| format!("DROP DATABASE {}", identifier(name));
                let statements: Vec<String> = found.iter().map(drop).collect();
                let effect = found.iter().map(|name| diff(name, "present", Shown::Absent)).collect();
                Ok(self.executed(plan, &session, &statements, effect))
            }
            DbState::Dump if !all && !missing.is_empty() => {
                let msg = format!("Cannot dump database(s) '{}' - not found", missing.join(", "));
                Err(Error::param("name", format!("there is no database `{}`", missing.join("`, `")))
                    .telling("msg", msg))
            }
            DbState::Dump => {
                let edit = self.dump(&session, &names, all, host)?;
                Ok(plan.returning("executed_commands", json!([moved(&edit, false)])).with(edit))
            }
            DbState::Import => {
                let target = self.target.as_deref().unwrap_or(Path::new(""));
                if host.stat(target)?.is_none() {
                    let msg = format!("target {} does not exist on the host", target.display());
                    return Err(Error::path("read", target, "there is no such file").telling("msg", msg));
                }
                let mut plan = if all { plan } else { self.made(plan, &session, &missing) };
                let edit = self.import(&session, &names, all, host)?;
                let done = plan.data.entry("executed_commands").or_insert(json!([]));
                done.as_array_mut().into_iter().for_each(|done| done.push(json!(moved(&edit, true))));
                Ok(plan.with(edit))
            }
        }
    }

    fn converges(&self) -> bool {
        matches!(self.state, DbState::Present | DbState::Absent)
    }

    fn report(&self, applied: &Applied) -> Data {
        let output = applied.outputs.last().filter(|_| !self.converges());
        output.map(|output| Data::from_iter([("msg".to_owned(), json!(output.stdout))])).unwrap_or_default()
    }

    fn lament(&self, error: &Error) -> Option<String> {
        let verb = if self.state == DbState::Absent { "deleting" } else { "creating" };
        lamented(error).map(|why| format!("error {verb} database: {why}"))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == DbState::Absent { Shown::Absent } else { "present".into() };
        self.name.iter().map(|Word(name)| diff(name, Shown::Unknown, after.clone())).collect()
    }
}

fn diff(name: &str, before: impl Into<Shown>, after: impl Into<Shown>) -> Diff {
    Diff::new(format!("MySQL database {name}"), "state", before, after)
}

/// The program of a dump or an import as one would type it; a password is not among its arguments.
fn moved(edit: &Edit, is_import: bool) -> String {
    let Edit::Run { command, .. } = edit else { return String::new() };
    let [_, _, _, packer, target, program, args @ ..] = command.args.as_slice() else { return String::new() };
    let typed = Command::new(program.as_str(), args.iter().map(String::as_str)).to_string();
    match (packer.as_str(), is_import) {
        ("", true) => format!("{typed} < {target}"),
        ("", false) => format!("{typed} > {target}"),
        (packer, true) => format!("{packer} -dc {target} | {typed}"),
        (packer, false) => format!("{typed} | {packer} > {target}"),
    }
}

impl MysqlDb {
    fn possible(&self, names: &[&str], moves: bool, all: bool) -> Result<(), Error> {
        let refuse = |param: &str, reason: &str, msg: String| Err(Error::param(param, reason).telling("msg", msg));
        if names.len() > 1 && self.state == DbState::Import {
            let msg = "Multiple databases are not supported with state=import";
            return refuse("name", "an import goes to one database", msg.into());
        }
        if moves && self.target.is_none() {
            let state = if self.state == DbState::Dump { "dump" } else { "import" };
            return refuse("target", "is missing: which file?", format!("with state={state} target is required"));
        }
        if !moves && all {
            let msg = "name is not allowed to equal 'all' unless state equals import, or dump.";
            return refuse("name", "`all` is for dumps and imports", msg.into());
        }
        Ok(())
    }

    fn made(&self, plan: Plan, session: &Session, missing: &[&str]) -> Plan {
        let given = |word: &Option<Word>| word.as_ref().map(|word| literal(&word.0)).filter(|word| word != "''");
        let create = |name: &&str| {
            let set = given(&self.encoding).map(|set| format!(" CHARACTER SET {set}")).unwrap_or_default();
            let order = given(&self.collation).map(|order| format!(" COLLATE {order}")).unwrap_or_default();
            format!("CREATE DATABASE {}{set}{order}", identifier(name))
        };
        let statements: Vec<String> = missing.iter().map(create).collect();
        let effect = missing.iter().map(|name| diff(name, Shown::Absent, "present")).collect();
        self.executed(plan, session, &statements, effect)
    }

    fn executed(&self, plan: Plan, session: &Session, statements: &[String], effect: Vec<Diff>) -> Plan {
        let plan = plan.returning("executed_commands", json!(statements));
        if statements.is_empty() {
            return plan;
        }
        let quiet = (!self.sql_log_bin).then(|| "SET SQL_LOG_BIN=0".to_owned());
        let statements: Vec<String> = quiet.into_iter().chain(statements.iter().cloned()).collect();
        plan.with(session.edit(&statements, false, effect))
    }

    /// A program of the family with what says where the server is, and its password.
    fn program(&self, session: &Session, name: &str, script: &str, host: &dyn Host) -> Result<Command, Error> {
        let target = self.target.as_deref().unwrap_or(Path::new(""));
        let ending = target.extension().map(|ending| ending.to_string_lossy().into_owned()).unwrap_or_default();
        let packer = PACKERS.iter().find(|(known, _)| *known == ending).map_or("", |(_, packer)| packer);
        let names = match name {
            "mysqldump" => ["mysqldump", "mariadb-dump"],
            _ => ["mysql", "mariadb"],
        };
        let mut program = crate::builtin::common::whole_path(host, names[0])?;
        if !program.starts_with('/') {
            program = crate::builtin::common::whole_path(host, names[1])?;
        }
        let mut args = vec!["-c".to_owned(), script.into(), "mysql_db".into(), packer.into()];
        args.extend([target.display().to_string(), program]);
        let own = ["--batch", "--skip-column-names"];
        let timeout = |arg: &str| arg.starts_with("--connect-timeout") && name == "mysqldump";
        args.extend(session.args.iter().filter(|arg| !own.contains(&arg.as_str()) && !timeout(arg)).cloned());
        let set = self.encoding.as_ref().filter(|set| !set.0.is_empty());
        args.extend(set.map(|Word(set)| format!("--default-character-set={set}")));
        let mut command = Command { answers: true, ..Command::new("/bin/sh", args) };
        let password = session.password.clone().map(Input::Secret);
        command.env.extend(password.map(|password| ("MYSQL_PWD".to_owned(), password)));
        Ok(command)
    }

    fn dump(&self, session: &Session, names: &[&str], all: bool, host: &dyn Host) -> Result<Edit, Error> {
        let mut command = self.program(session, "mysqldump", DUMP, host)?;
        let flags = [
            (self.force, "--force"),
            (self.skip_lock_tables, "--skip-lock-tables"),
            (self.single_transaction, "--single-transaction=true"),
            (self.quick, "--quick"),
            (self.hex_blob, "--hex-blob"),
            (all, "--all-databases"),
            (names.len() > 1, "--databases"),
        ];
        let extra = self.dump_extra_args.iter().flat_map(|Word(extra)| extra.split_whitespace());
        let ignored = self.ignore_tables.iter().map(|Word(table)| format!("--ignore-table={table}"));
        let flags = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| (*flag).to_owned());
        command.args.extend(ignored.chain(extra.map(str::to_owned)).chain(flags));
        command.args.extend(names.iter().filter(|_| !all).map(|name| (*name).to_owned()));
        let subject = self.target.as_deref().unwrap_or(Path::new("")).display().to_string();
        let effect = vec![Diff::new(subject, "content", Shown::Unknown, format!("a dump of {}", names.join(", ")))];
        Ok(Edit::run(command, effect, Reach::Anything))
    }

    fn import(&self, session: &Session, names: &[&str], all: bool, host: &dyn Host) -> Result<Edit, Error> {
        let mut command = self.program(session, "mysql", IMPORT, host)?;
        command.args.extend(self.force.then(|| "--force".to_owned()));
        if !all {
            command.args.extend(["--one-database".to_owned(), names.concat()]);
        }
        let from = self.target.as_deref().unwrap_or(Path::new("")).display().to_string();
        let effect = vec![Diff::new(format!("MySQL database {}", names.join(", ")), "content", Shown::Unknown, from)];
        Ok(Edit::run(command, effect, Reach::Anything))
    }
}
