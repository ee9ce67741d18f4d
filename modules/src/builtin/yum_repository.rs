//! `yum_repository`: where dnf finds packages.

mod repos;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use self::repos::Repos;
use super::common::{self, Wanted};
use super::state::State;
use crate::edit::{Diff, Edit, Shown, Text};
use crate::host::{Error, Host};
use crate::module::Module;
use crate::param::Content;
use crate::plan::Plan;

with_file_parameters! {
    /// A source of packages in a file of /etc/yum.repos.d (dnf.conf(5)). A file that is changed is written as Ansible writes it:
    /// without comments.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub(super) struct YumRepository {
        /// Its identifier.
        name: String,
        /// What it is, for people.
        description: Option<String>,
        /// Where it is.
        baseurl: Option<Vec<String>>,
        /// Whether it is there.
        #[serde(default)]
        state: State,
        /// The file, without `.repo`; `name` by default.
        file: Option<String>,
        /// Its directory.
        #[serde(default = "directory")]
        reposdir: PathBuf,
        /// How much may be fetched in a second.
        bandwidth: Option<String>,
        /// What it costs, beside others.
        cost: Option<String>,
        /// Whether it counts who uses it.
        countme: Option<bool>,
        /// How large differences may be.
        deltarpm_metadata_percentage: Option<String>,
        /// How large differences of packages may be.
        deltarpm_percentage: Option<String>,
        /// Whether it is used.
        enabled: Option<bool>,
        /// Whether its groups are used.
        enablegroups: Option<bool>,
        /// Packages that are left out.
        #[schemars(extend("aliases" = ["excludepkgs"]))]
        exclude: Option<Vec<String>>,
        /// How the next address is chosen.
        #[schemars(extend("listed" = ["roundrobin", "priority"]))]
        failovermethod: Option<String>,
        /// The authority's key.
        gpgcakey: Option<String>,
        /// Whether packages must be signed.
        gpgcheck: Option<bool>,
        /// The keys' addresses.
        gpgkey: Option<Vec<String>>,
        /// Whether modules are passed over.
        module_hotfixes: Option<bool>,
        /// What is cached on the way.
        #[schemars(extend("listed" = ["all", "packages", "none"]))]
        http_caching: Option<String>,
        /// Another file.
        include: Option<String>,
        /// The only packages that are taken.
        includepkgs: Option<Vec<String>>,
        /// Which addresses are used.
        ip_resolve: Option<String>,
        /// Whether connections are kept.
        keepalive: Option<bool>,
        /// Whether what is fetched is kept.
        keepcache: Option<String>,
        /// How long lists count as fresh.
        metadata_expire: Option<String>,
        /// For what they do.
        metadata_expire_filter: Option<String>,
        /// Where addresses are listed, with checksums.
        metalink: Option<String>,
        /// Where addresses are listed.
        mirrorlist: Option<String>,
        /// How long that list counts as fresh.
        mirrorlist_expire: Option<String>,
        /// The password. May be secret: then nothing of the file is shown.
        password: Option<Content>,
        /// How much it is preferred.
        priority: Option<String>,
        /// Whether its packages are protected.
        protect: Option<bool>,
        /// A proxy.
        proxy: Option<String>,
        /// The password there. May be secret.
        proxy_password: Option<Content>,
        /// The user there.
        proxy_username: Option<String>,
        /// Whether its lists must be signed.
        repo_gpgcheck: Option<bool>,
        /// How often it is tried.
        retries: Option<String>,
        /// Whether it is Amazon's S3.
        s3_enabled: Option<bool>,
        /// Whether it may be out of reach.
        skip_if_unavailable: Option<bool>,
        /// Certificates of authorities.
        #[schemars(extend("aliases" = ["ca_cert"]))]
        sslcacert: Option<String>,
        /// Whether permissions of certificates are checked.
        ssl_check_cert_permissions: Option<bool>,
        /// A certificate of the client's.
        #[schemars(extend("aliases" = ["client_cert"]))]
        sslclientcert: Option<String>,
        /// Its key.
        #[schemars(extend("aliases" = ["client_key"]))]
        sslclientkey: Option<String>,
        /// Whether the server must have a certificate that holds.
        #[schemars(extend("aliases" = ["validate_certs"]))]
        sslverify: Option<bool>,
        /// How much of the bandwidth is used.
        throttle: Option<String>,
        /// Seconds to wait for a connection.
        timeout: Option<String>,
        /// Variables in its identifier.
        ui_repoid_vars: Option<String>,
        /// The user.
        username: Option<String>,
        /// Whether several things are fetched at the same time.
        #[serde(rename = "async")]
        parallel: Option<bool>,
    }
}

fn directory() -> PathBuf {
    "/etc/yum.repos.d".into()
}

impl Module for YumRepository {
    const NAME: &'static str = "yum_repository";

    fn plan(&self, host: &dyn Host) -> Result<Plan, Error> {
        self.possible(host)?;
        let file = self.file.as_deref().unwrap_or(&self.name);
        let path = Path::new(&self.reposdir).join(format!("{file}.repo"));
        let (path, now) = common::resolve(host, &path)?;
        let before = Repos::read(&common::text(host, &path)?);
        let mut after = before.clone();
        after.remove(&self.name);
        if self.state == State::Present {
            after.add(&self.name, self.fields());
        }
        let told = |plan: Plan| plan.returning("repo", self.name.as_str()).returning("state", self.state.word());
        let secret = [&self.password, &self.proxy_password].into_iter().flatten().any(|text| text.0.secret);
        if before.dump() == after.dump() {
            let edits = match &now {
                Some(stat) => self.attributes().edits(host, &path, stat)?,
                None => Vec::new(),
            };
            return Ok(told(Plan { edits, ..Plan::nothing() }));
        }
        if after.is_empty() {
            let gone = now.map(|now| Edit::Remove { path, before: now.kind });
            return Ok(told(Plan { edits: gone.into_iter().collect(), ..Plan::nothing() }));
        }
        let after = Text { bytes: after.text().into_bytes(), secret };
        let attributes = self.attributes();
        Ok(told(Wanted { path, now, after, attributes, backup: false, validate: None }.plan(host)?))
    }

    fn intent(&self) -> Vec<Diff> {
        let after = if self.state == State::Present { Shown::Unknown } else { Shown::Absent };
        vec![Diff::new(format!("repository {}", self.name), "state", Shown::Unknown, after)]
    }
}

impl YumRepository {
    fn possible(&self, host: &dyn Host) -> Result<(), Error> {
        let present = self.state == State::Present;
        if present && self.baseurl.is_none() && self.mirrorlist.is_none() && self.metalink.is_none() {
            let error = Error::param("baseurl", "is missing: give it, or `mirrorlist` or `metalink`");
            let msg = "state is present but any of the following are missing: baseurl, mirrorlist, metalink";
            return Err(error.telling("msg", msg));
        }
        if present && self.description.is_none() {
            let error = Error::param("description", "is missing: what is it, for people?");
            return Err(error.telling("msg", "state is present but all of the following are missing: description"));
        }
        if !host.stat(&self.reposdir)?.is_some_and(|stat| stat.is_dir()) {
            let shown = self.reposdir.display().to_string();
            let msg = format!("Repo directory '{shown}' does not exist.");
            return Err(Error::path("use", &self.reposdir, "there is no such directory").telling("msg", msg));
        }
        Ok(())
    }

    /// What is given, under dnf's names.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let flag = |flag: Option<bool>| flag.map(|flag| if flag { "1" } else { "0" }.to_owned());
        let list = |list: &Option<Vec<String>>, by: &str| list.as_ref().map(|list| list.join(by));
        let secret = |text: &Option<Content>| text.as_ref().map(|text| text.as_str().to_owned());
        let text = |text: &Option<String>| text.clone();
        let fields = [
            ("async", flag(self.parallel)),
            ("bandwidth", text(&self.bandwidth)),
            ("baseurl", list(&self.baseurl, "\n")),
            ("cost", text(&self.cost)),
            ("countme", flag(self.countme)),
            ("deltarpm_metadata_percentage", text(&self.deltarpm_metadata_percentage)),
            ("deltarpm_percentage", text(&self.deltarpm_percentage)),
            ("enabled", flag(self.enabled)),
            ("enablegroups", flag(self.enablegroups)),
            ("exclude", list(&self.exclude, " ")),
            ("failovermethod", text(&self.failovermethod)),
            ("gpgcakey", text(&self.gpgcakey)),
            ("gpgcheck", flag(self.gpgcheck)),
            ("gpgkey", list(&self.gpgkey, "\n")),
            ("http_caching", text(&self.http_caching)),
            ("include", text(&self.include)),
            ("includepkgs", list(&self.includepkgs, " ")),
            ("ip_resolve", text(&self.ip_resolve)),
            ("keepalive", flag(self.keepalive)),
            ("keepcache", text(&self.keepcache)),
            ("metadata_expire", text(&self.metadata_expire)),
            ("metadata_expire_filter", text(&self.metadata_expire_filter)),
            ("metalink", text(&self.metalink)),
            ("mirrorlist", text(&self.mirrorlist)),
            ("mirrorlist_expire", text(&self.mirrorlist_expire)),
            ("module_hotfixes", flag(self.module_hotfixes)),
            ("name", text(&self.description)),
            ("password", secret(&self.password)),
            ("priority", text(&self.priority)),
            ("protect", flag(self.protect)),
            ("proxy", text(&self.proxy)),
            ("proxy_password", secret(&self.proxy_password)),
            ("proxy_username", text(&self.proxy_username)),
            ("repo_gpgcheck", flag(self.repo_gpgcheck)),
            ("retries", text(&self.retries)),
            ("s3_enabled", flag(self.s3_enabled)),
            ("skip_if_unavailable", flag(self.skip_if_unavailable)),
            ("ssl_check_cert_permissions", flag(self.ssl_check_cert_permissions)),
            ("sslcacert", text(&self.sslcacert)),
            ("sslclientcert", text(&self.sslclientcert)),
            ("sslclientkey", text(&self.sslclientkey)),
            ("sslverify", flag(self.sslverify)),
            ("throttle", text(&self.throttle)),
            ("timeout", text(&self.timeout)),
            ("ui_repoid_vars", text(&self.ui_repoid_vars)),
            ("username", text(&self.username)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
