//! Who knows the locale of a database.

use schemars::JsonSchema;
use serde::Deserialize;

use super::PgDatabase;
use crate::builtin::postgres::change::text;
use crate::host::{Error, Host};
use crate::sql::SqlArg;

/// Who knows locales.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Provider {
    /// The C library.
    Libc,
    /// ICU.
    Icu,
    /// PostgreSQL itself.
    Builtin,
}

impl Provider {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Libc => "libc",
            Self::Icu => "icu",
            Self::Builtin => "builtin",
        }
    }
}

/// Only asked where a task names a provider. What there is of this has other names in each version.
const LOCALES: &str = "SELECT CASE j ->> 'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, \
    coalesce(j ->> 'datlocale', j ->> 'daticulocale'), j ->> 'daticurules' \
    FROM (SELECT to_jsonb(d) FROM pg_catalog.pg_database d WHERE d.datname = $1) AS d (j)";

impl PgDatabase {
    /// The provider that is wanted, by its name or by what only it has.
    pub(super) fn provider(&self) -> Option<Provider> {
        let implied = || match (&self.icu_locale, &self.icu_rules, &self.builtin_locale) {
            (Some(_), _, _) | (_, Some(_), _) => Some(Provider::Icu),
            (_, _, Some(_)) => Some(Provider::Builtin),
            _ => None,
        };
        self.locale_provider.or_else(implied)
    }

    /// Refuses what belongs to another provider.
    pub(super) fn provider_is_sound(&self) -> Result<(), Error> {
        for (param, given, of) in [
            ("icu_locale", self.icu_locale.is_some(), Provider::Icu),
            ("icu_rules", self.icu_rules.is_some(), Provider::Icu),
            ("builtin_locale", self.builtin_locale.is_some(), Provider::Builtin),
        ] {
            if let Some(other) = self.provider().filter(|provider| given && *provider != of) {
                return Err(Error::param(param, format!("has no meaning with the locale provider {}", other.word())));
            }
        }
        Ok(())
    }

    /// Refuses another provider, or another locale of it.
    pub(super) fn provider_is_fixed(&self, host: &dyn Host) -> Result<(), Error> {
        let Some(provider) = self.provider() else { return Ok(()) };
        let rows = host.sql(&self.conn(), LOCALES, &[SqlArg::Text(self.name.clone())])?.rows;
        let of_row = |at: usize| rows.first().and_then(|row| text(row, at));
        let locale = self.icu_locale.as_ref().or(self.builtin_locale.as_ref());
        for (what, wanted, seen) in [
            ("locale provider", Some(provider.word()), of_row(0)),
            ("locale", locale.map(String::as_str), of_row(1)),
            ("ICU rules", self.icu_rules.as_deref(), of_row(2)),
        ] {
            if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) != seen) {
                return Err(self.decided(what, seen.unwrap_or("none"), wanted));
            }
        }
        Ok(())
    }
}
