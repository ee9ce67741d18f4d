//! The kinds of objects that have privileges, and how each is asked for.

use schemars::JsonSchema;
use serde::Deserialize;

/// A kind of object.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Tables, views, materialized views, foreign tables.
    #[default]
    Table,
    /// Sequences.
    Sequence,
    /// Functions and aggregates, as `name(type, type)`, or `name` for all of that name.
    Function,
    /// Procedures, named likewise.
    Procedure,
    /// Types and domains.
    Type,
    /// Schemas.
    Schema,
    /// Databases.
    Database,
    /// Languages.
    Language,
    /// Tablespaces.
    Tablespace,
    /// Wrappers of foreign data.
    ForeignDataWrapper,
    /// Foreign servers.
    ForeignServer,
    /// Settings of the server, which roles may `SET`, or change by `ALTER SYSTEM` (PostgreSQL 15).
    Parameter,
    /// What `target_roles` will make in future: `TABLES`, `SEQUENCES`, `FUNCTIONS`, `TYPES`, `SCHEMAS`.
    #[serde(rename = "default_privs")]
    Default,
}

/// Where a kind is in the catalogs.
struct Catalog {
    /// An expression for its name, as a task gives it.
    name: &'static str,
    /// One for its name as a part of SQL.
    quoted: &'static str,
    /// One for its privileges.
    acl: &'static str,
    from: &'static str,
    /// Which rows, where not all are meant.
    filter: &'static str,
}

impl Kind {
    /// The word behind `ON`.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::Sequence => "SEQUENCE",
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::Type => "TYPE",
            Self::Schema => "SCHEMA",
            Self::Database => "DATABASE",
            Self::Language => "LANGUAGE",
            Self::Tablespace => "TABLESPACE",
            Self::ForeignDataWrapper => "FOREIGN DATA WRAPPER",
            Self::ForeignServer => "FOREIGN SERVER",
            Self::Parameter => "PARAMETER",
            Self::Default => "DEFAULT",
        }
    }

    /// Whether its objects are in schemas.
    pub(super) fn in_schema(self) -> bool {
        matches!(self, Self::Table | Self::Sequence | Self::Function | Self::Procedure | Self::Type)
    }

    /// What `acldefault()` calls it; of future objects, what `object` is called.
    pub(super) fn code(self, object: &str) -> char {
        match (self, object) {
            (Self::Default, "SEQUENCES") | (Self::Sequence, _) => 's',
            (Self::Default, "FUNCTIONS") | (Self::Function | Self::Procedure, _) => 'f',
            (Self::Default, "TYPES") | (Self::Type, _) => 'T',
            (Self::Default, "SCHEMAS") | (Self::Schema, _) => 'n',
            (Self::Database, _) => 'd',
            (Self::Language, _) => 'l',
            (Self::Tablespace, _) => 't',
            (Self::ForeignDataWrapper, _) => 'F',
            (Self::ForeignServer, _) => 'S',
            (Self::Parameter, _) => 'p',
            (Self::Table | Self::Default, _) => 'r',
        }
    }

    /// The same for columns: of the tables that `$1` lists, in the schema `$2`, those that `$3` lists. Their names as SQL are those of
    /// their tables.
    pub(super) fn columns_query() -> String {
        format!(
            "SELECT c.relname || '.' || a.attname, {CLASS_SQL}, ARRAY(SELECT x.privilege_type || ':' || x.is_grantable || ':' || \
             CASE x.grantee WHEN 0 THEN 'public' ELSE 'role:' || pg_get_userbyid(x.grantee) END FROM aclexplode(a.attacl) x ORDER BY 1), \
             a.attname FROM {CLASS} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE n.nspname = $2 \
             AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relname IN (SELECT json_array_elements_text($1::json)) \
             AND a.attname IN (SELECT json_array_elements_text($3::json)) AND NOT a.attisdropped ORDER BY 1, 2"
        )
    }

    /// The query for the names, the names as SQL, and the privileges (`SELECT:false:role:bob`) of the objects that `$1` lists
    /// as JSON, or of all; `$2` is the schema, where there is one.
    pub(super) fn query(self) -> String {
        let known = CATALOGS.iter().find(|(kind, _)| *kind == self);
        let Catalog { name, quoted, acl, from, filter } = known.map_or(&CATALOGS[0].1, |(_, catalog)| catalog);
        format!(
            "SELECT {name}, {quoted}, ARRAY(SELECT a.privilege_type || ':' || a.is_grantable || ':' || CASE a.grantee WHEN 0 THEN \
             'public' ELSE 'role:' || pg_get_userbyid(a.grantee) END FROM aclexplode({acl}) a ORDER BY 1) FROM {from} WHERE {filter} \
             ORDER BY 1, 2"
        )
    }
}

const fn catalog(
    name: &'static str,
    quoted: &'static str,
    acl: &'static str,
    from: &'static str,
    filter: &'static str,
) -> Catalog {
    Catalog { name, quoted, acl, from, filter }
}

const ROUTINE: &str = "p.proname || '(' || oidvectortypes(p.proargtypes) || ')'";
const ROUTINE_SQL: &str = "format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes))";
const PROC: &str = "pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace";
const PROC_ACL: &str = "coalesce(p.proacl, acldefault('f', p.proowner))";
const CLASS: &str = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
const CLASS_SQL: &str = "format('%I.%I', n.nspname, c.relname)";

static CATALOGS: [(Kind, Catalog); 13] = [
    (
        Kind::Table,
        catalog(
            "c.relname",
            CLASS_SQL,
            "coalesce(c.relacl, acldefault('r', c.relowner))",
            CLASS,
            "n.nspname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p') \
                 AND ($1::json IS NULL OR c.relname IN (SELECT json_array_elements_text($1::json)))",
        ),
    ),
    (
        Kind::Sequence,
        catalog(
            "c.relname",
            CLASS_SQL,
            "coalesce(c.relacl, acldefault('s', c.relowner))",
            CLASS,
            "n.nspname = $2 AND c.relkind = 'S' AND ($1::json IS NULL OR c.relname IN (SELECT json_array_elements_text($1::json)))",
        ),
    ),
    (
        Kind::Function,
        catalog(
            ROUTINE,
            ROUTINE_SQL,
            PROC_ACL,
            PROC,
            "n.nspname = $2 AND p.prokind <> 'p' AND ($1::json IS NULL OR p.proname IN (SELECT split_part(json_array_elements_text($1::json), '(', 1)))",
        ),
    ),
    (
        Kind::Procedure,
        catalog(
            ROUTINE,
            ROUTINE_SQL,
            PROC_ACL,
            PROC,
            "n.nspname = $2 AND p.prokind = 'p' AND ($1::json IS NULL OR p.proname IN (SELECT split_part(json_array_elements_text($1::json), '(', 1)))",
        ),
    ),
    (
        Kind::Type,
        catalog(
            "t.typname",
            "format('%I.%I', n.nspname, t.typname)",
            "coalesce(t.typacl, acldefault('T', t.typowner))",
            "pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace",
            // Neither arrays nor the types of tables' rows.
            "n.nspname = $2 AND t.typelem = 0 AND t.typrelid = 0 \
                 AND ($1::json IS NULL OR t.typname IN (SELECT json_array_elements_text($1::json)))",
        ),
    ),
    (
        Kind::Schema,
        catalog(
            "n.nspname",
            "quote_ident(n.nspname)",
            "coalesce(n.nspacl, acldefault('n', n.nspowner))",
            "pg_catalog.pg_namespace n",
            "n.nspname IN (SELECT json_array_elements_text($1::json))",
        ),
    ),
    (
        Kind::Database,
        catalog(
            "d.datname",
            "quote_ident(d.datname)",
            "coalesce(d.datacl, acldefault('d', d.datdba))",
            "pg_catalog.pg_database d",
            "d.datname IN (SELECT json_array_elements_text($1::json))",
        ),
    ),
    (
        Kind::Language,
        catalog(
            "l.lanname",
            "quote_ident(l.lanname)",
            "coalesce(l.lanacl, acldefault('l', l.lanowner))",
            "pg_catalog.pg_language l",
            "l.lanname IN (SELECT json_array_elements_text($1::json))",
        ),
    ),
    (
        Kind::Tablespace,
        catalog(
            "t.spcname",
            "quote_ident(t.spcname)",
            "coalesce(t.spcacl, acldefault('t', t.spcowner))",
            "pg_catalog.pg_tablespace t",
            "t.spcname IN (SELECT json_array_elements_text($1::json))",
        ),
    ),
    (
        Kind::ForeignDataWrapper,
        catalog(
            "f.fdwname",
            "quote_ident(f.fdwname)",
            "coalesce(f.fdwacl, acldefault('F', f.fdwowner))",
            "pg_catalog.pg_foreign_data_wrapper f",
            "f.fdwname IN (SELECT json_array_elements_text($1::json))",
        ),
    ),
    (
        Kind::ForeignServer,
        catalog(
            "s.srvname",
            "quote_ident(s.srvname)",
            "coalesce(s.srvacl, acldefault('S', s.srvowner))",
            "pg_catalog.pg_foreign_server s",
            "s.srvname IN (SELECT json_array_elements_text($1::json))",
        ),
    ),
    // A setting of which nobody was granted anything is in no catalog.
    (
        Kind::Parameter,
        catalog(
            "g.name",
            "(SELECT string_agg(quote_ident(part), '.') FROM unnest(string_to_array(g.name, '.')) part)",
            "p.paracl",
            "(SELECT lower(json_array_elements_text($1::json)) AS name) g LEFT JOIN pg_catalog.pg_parameter_acl p ON p.parname = g.name",
            "true",
        ),
    ),
    // One row for each creator and kind; `$3` lists the creators.
    (
        Kind::Default,
        catalog(
            "o.name",
            "quote_ident(r.rolname)",
            "coalesce((SELECT defaclacl FROM pg_catalog.pg_default_acl d WHERE d.defaclrole = r.oid AND d.defaclobjtype = o.code \
                 AND d.defaclnamespace = coalesce((SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = $2), 0)), \
                 CASE WHEN $2::text IS NULL THEN acldefault(o.other, r.oid) END)",
            "pg_catalog.pg_roles r, (VALUES ('TABLES', 'r'::\"char\", 'r'::\"char\"), ('SEQUENCES', 'S', 's'), ('FUNCTIONS', 'f', 'f'), \
                 ('TYPES', 'T', 'T'), ('SCHEMAS', 'n', 'n')) AS o (name, code, other)",
            "o.name IN (SELECT json_array_elements_text($1::json)) \
                 AND (r.rolname IN (SELECT json_array_elements_text($3::json)) OR $3::json IS NULL AND r.rolname = current_user)",
        ),
    ),
];
