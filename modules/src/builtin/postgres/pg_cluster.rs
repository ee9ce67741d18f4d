//! `pg_cluster`: a PostgreSQL database cluster, made and not yet started.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::builtin::common;
use crate::edit::{Diff, Edit, Reach, Shown};
use crate::host::{Command, Error, Host};
use crate::module::Module;
use crate::plan::Plan;

/// A database cluster: on Debian by `pg_createcluster`, so that versions and names live side by side; else by `initdb`, with
/// `data_directory` and as the user that the server runs as.
///
/// It is made only where nothing is: a directory with anything else in it is refused, and a cluster that is there is never
/// made anew. What it was made with is compared where that can be seen: the version, and whether it has checksums. Starting
/// it is a `service` task's.
///
/// Registers `data_directory` and `made` (whether it was there already: `false`).
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::builtin) struct PgCluster {
    /// The major version, such as `15`.
    version: String,
    /// The cluster's name, on Debian.
    #[serde(default = "main")]
    name: String,
    /// Where its data are. On Debian the default is `/var/lib/postgresql/VERSION/NAME`.
    #[schemars(extend("aliases" = ["pgdata"]))]
    data_directory: Option<PathBuf>,
    /// The directory of `initdb` and its like. The default is Debian's, `/usr/lib/postgresql/VERSION/bin`.
    pg_bin: Option<PathBuf>,
    /// The port that it shall listen on. On Debian the default is the next that no other cluster has. Later, `pg_setting` changes it.
    port: Option<u16>,
    /// The locale. The default is that of the system.
    locale: Option<String>,
    /// The encoding. The default is the locale's.
    encoding: Option<String>,
    /// Whether pages have checksums, which tell a disk's errors. The default for a new cluster is PostgreSQL's own: no before 18.
    data_checksums: Option<bool>,
    /// The size of a file of WAL in MiB, a power of 2.
    wal_segsize: Option<u32>,
    /// Whether the group may read the data, as some backups want it.
    #[serde(default)]
    group_access: bool,
}

fn main() -> String {
    "main".into()
}

impl Module for PgCluster {
    const NAME: &'static str = "pg_cluster";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.check()?;
        let debian = host.stat(Path::new(CREATE))?.is_some();
        let data = self.data(host, debian)?;
        let plan = Plan::nothing().returning("data_directory", data.display().to_string());
        let (data, now) = common::resolve(host, &data)?;
        let version = host.read(&data.join("PG_VERSION")).ok().flatten();
        match (now, version) {
            (Some(now), _) if !now.is_dir() => {
                Err(Error::refused(data.display().to_string(), "is not a directory", "give another `data_directory`"))
            }
            (_, Some(version)) => {
                self.is_as_wanted(host, &data, String::from_utf8_lossy(&version).trim())?;
                Ok(plan.returning("made", false))
            }
            (Some(_), None) if !host.list(&data)?.is_empty() => Err(Error::refused(
                data.display().to_string(),
                "is not empty, and what is in it is no database cluster",
                "move it away, or give another `data_directory`",
            )),
            (_, None) => Ok(plan.returning("made", true).with(self.make(host, &data, debian)?)),
        }
    }

    fn intent(&self) -> Vec<Diff> {
        let data = self.data_directory.clone().unwrap_or_else(|| self.default_data());
        self.effect(&data, &Shown::Unknown)
    }
}

/// Debian's tool.
const CREATE: &str = "/usr/bin/pg_createcluster";

impl PgCluster {
    fn check(&self) -> Result<(), Error> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        };
        if !plain(&self.version) {
            return Err(Error::param(
                "version",
                format!("`{}` is no major version, such as 15", self.version.escape_debug()),
            ));
        }
        // pg_createcluster(1): a dash would be ambiguous in the names of units.
        if !plain(&self.name) {
            return Err(Error::param(
                "name",
                format!("`{}` cannot be a cluster's name: letters, digits, `.` and `_`", self.name.escape_debug()),
            ));
        }
        match self.wal_segsize {
            Some(size) if !size.is_power_of_two() || size > 1024 => {
                Err(Error::param("wal_segsize", format!("must be a power of 2 from 1 to 1024, not {size}")))
            }
            _ => Ok(()),
        }
    }

    fn default_data(&self) -> PathBuf {
        PathBuf::from(format!("/var/lib/postgresql/{}/{}", self.version, self.name))
    }

    /// The directory given, or what the configuration on Debian says, or will say.
    fn data(&self, host: &dyn Host, debian: bool) -> Result<PathBuf, Error> {
        if !debian {
            return self
                .data_directory
                .clone()
                .ok_or_else(|| Error::param("data_directory", "is missing; only Debian has a default"));
        }
        let conf = PathBuf::from(format!("/etc/postgresql/{}/{}/postgresql.conf", self.version, self.name));
        let text = host.read(&conf).ok().flatten().map(|text| String::from_utf8_lossy(&text).into_owned());
        let configured =
            text.and_then(|text| super::pg_setting::configured(&text, "data_directory")).map(PathBuf::from);
        match (&self.data_directory, configured) {
            (Some(given), Some(configured)) if *given != configured => Err(Error::refused(
                conf.display().to_string(),
                format!("says that the data are in {}, not in {}", configured.display(), given.display()),
                "give the cluster another `name`",
            )),
            (Some(given), _) => Ok(given.clone()),
            (None, Some(configured)) => Ok(configured),
            (None, None) => Ok(self.default_data()),
        }
    }

    fn bin(&self) -> PathBuf {
        self.pg_bin.clone().unwrap_or_else(|| PathBuf::from(format!("/usr/lib/postgresql/{}/bin", self.version)))
    }

    /// Refuses a cluster that is another than the one wanted.
    fn is_as_wanted(&self, host: &dyn Host, data: &Path, version: &str) -> Result<(), Error> {
        let subject = || data.display().to_string();
        if version != self.version {
            return Err(Error::refused(
                subject(),
                format!("is a cluster of version {version}, not {}", self.version),
                "pg_upgrade makes a new one of it; that is not done here",
            ));
        }
        let Some(wanted) = self.data_checksums else { return Ok(()) };
        let control =
            Command::new(self.bin().join("pg_controldata").display().to_string(), [data.display().to_string()]);
        let output = host.query(&control)?;
        let line = output.stdout.lines().find_map(|line| line.strip_prefix("Data page checksum version:"));
        match line.map(|line| line.trim() != "0") {
            None => Err(Error::Command { command: control.to_string(), output: Box::new(output) }),
            Some(seen) if seen == wanted => Ok(()),
            Some(seen) => Err(Error::refused(
                subject(),
                if seen { "has checksums" } else { "has no checksums" },
                format!("stop the server and run pg_checksums --{}", if wanted { "enable" } else { "disable" }),
            )),
        }
    }

    fn make(&self, host: &dyn Host, data: &Path, debian: bool) -> Result<Edit, Error> {
        if self.port.is_some() && !debian {
            return Err(Error::param("port", "is Debian's; after `initdb`, set it by `pg_setting` with `path`"));
        }
        let initdb = self.bin().join("initdb");
        if host.stat(&initdb)?.is_none() {
            let hint = "install the server's package, or give `pg_bin`";
            return Err(Error::refused(initdb.display().to_string(), "does not exist", hint));
        }
        let mut of_initdb: Vec<String> = Vec::new();
        match self.data_checksums {
            Some(true) => of_initdb.push("--data-checksums".into()),
            // The option is 18's, which has checksums by default.
            Some(false) if self.version.parse::<u32>().is_ok_and(|version| version >= 18) => {
                of_initdb.push("--no-data-checksums".into())
            }
            _ => {}
        }
        of_initdb.extend(self.wal_segsize.map(|size| format!("--wal-segsize={size}")));
        of_initdb.extend(self.group_access.then(|| "--allow-group-access".into()));
        let both = [("--locale", &self.locale), ("--encoding", &self.encoding)];
        let both = both.into_iter().filter_map(|(option, value)| Some(format!("{option}={}", value.as_ref()?)));
        let command = if debian {
            let mut args = vec![self.version.clone(), self.name.clone(), format!("--datadir={}", data.display())];
            args.extend(self.port.map(|port| format!("--port={port}")));
            args.extend(both);
            args.push("--".into());
            args.extend(of_initdb);
            Command::new(CREATE, args)
        } else {
            let mut args = vec![format!("--pgdata={}", data.display())];
            args.extend(both);
            args.extend(of_initdb);
            Command::new(initdb.display().to_string(), args)
        };
        let effect = self.effect(data, &Shown::Absent);
        Ok(Edit::Run { command, effect, makes: Vec::new(), reach: Reach::Anything, progress: None })
    }

    fn effect(&self, data: &Path, before: &Shown) -> Vec<Diff> {
        let aspects = [
            ("state", Some("present".to_owned())),
            ("data directory", Some(data.display().to_string())),
            ("port", self.port.map(|port| port.to_string())),
            ("locale", self.locale.clone()),
            ("encoding", self.encoding.clone()),
            ("checksums", self.data_checksums.map(|on| on.to_string())),
            ("WAL segment size", self.wal_segsize.map(|size| format!("{size} MiB"))),
        ];
        let subject = format!("cluster {}/{}", self.version, self.name);
        aspects
            .into_iter()
            .filter_map(|(aspect, value)| Some(Diff::new(&subject, aspect, before.clone(), value?)))
            .collect()
    }
}
