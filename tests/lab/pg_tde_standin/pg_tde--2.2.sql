-- A stand-in for pg_tde 2.2 on a stock server: the same functions, states and errors, and no encryption
-- whatsoever.  README.md says what is faithful and what cannot be.
\echo Use "CREATE EXTENSION pg_tde" to load this file. \quit

-- ------------------------------------------------------------------------------------------ guard
-- pg_tde's library refuses to be loaded by anything but the server's start.
CREATE FUNCTION _tde_guard() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT 'pg_tde' = ANY (regexp_split_to_array(current_setting('shared_preload_libraries'), '[\s,"]+')) THEN
        RAISE EXCEPTION 'pg_tde can only be loaded at server startup. Restart required.' USING ERRCODE = 'XX000';
    END IF;
END $$;
DO $$ BEGIN PERFORM @extschema@._tde_guard(); END $$;

-- ------------------------------------------------------------------------------------------ state
-- Providers and keys are a matter of the whole server, and reach its standbys.  The one place that stock
-- PostgreSQL has for such a thing is a shared catalogue: the state is a JSON object in the comment of the
-- tablespace pg_global.  Its keys: 'provider SCOPE NAME', 'next SCOPE' and 'key OWNER', where SCOPE is
-- 'global' or a database's oid, and OWNER is 'server', 'default' or a database's oid.
CREATE FUNCTION _tde_state() RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(shobj_description(oid, 'pg_tablespace')::jsonb, '{}') FROM pg_tablespace WHERE spcname = 'pg_global'
$$;

CREATE FUNCTION _tde_store(state jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('COMMENT ON TABLESPACE pg_global IS %L', state);
END $$;

-- One writer at a time.
CREATE FUNCTION _tde_lock() RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtext('pg_tde stand-in')) $$;

CREATE FUNCTION _tde_here() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT oid::text FROM pg_database WHERE datname = current_database()
$$;

CREATE FUNCTION _tde_has_encrypted() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'tde_heap' AND c.relkind <> 'p')
$$;

-- The key in use by OWNER, or NULL.  A database without one of its own takes the default key with its first encrypted table.
CREATE FUNCTION _tde_key(owner text) RETURNS jsonb LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce(s -> ('key ' || owner),
                    CASE WHEN owner = _tde_here() AND _tde_has_encrypted() THEN s -> 'key default' END)
      FROM _tde_state() s
$$;

-- --------------------------------------------------------------------------------------- key files
-- A file provider's file: one line a key, its name, a tab and its material.  Written by COPY, which no ROLLBACK undoes and a standby
-- allows, as with pg_tde.  A file that is absent or unreadable holds no keys.
CREATE FUNCTION _tde_read(path text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN array_remove(string_to_array(pg_read_file(path), E'\n'), '');
EXCEPTION WHEN OTHERS THEN
    RETURN '{}';
END $$;

CREATE FUNCTION _tde_write(path text, lines text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A quote and a delimiter that occur in no name: the lines come out as they are.
    EXECUTE format($q$COPY (SELECT unnest(%L::text[])) TO %L (FORMAT csv, QUOTE E'\001', DELIMITER E'\002')$q$, lines, path);
END $$;

-- The file is made if it is not there, before anything else is looked at.
CREATE FUNCTION _tde_open(path text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF pg_stat_file(path, true) IS NULL THEN
        PERFORM _tde_write(path, '{}');
    ELSE
        PERFORM pg_read_file(path, 0, 1);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION 'Failed to open keyring file %: %', path, regexp_replace(SQLERRM, '^.*: ', '') USING ERRCODE = SQLSTATE;
END $$;

CREATE FUNCTION _tde_path(provider jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (provider ->> 'options')::json ->> 'path'
$$;

-- The material of a key in a provider, or NULL.  Names are compared without regard to case.
CREATE FUNCTION _tde_material(provider jsonb, key_name text) RETURNS text LANGUAGE sql SET search_path FROM CURRENT AS $$
    SELECT split_part(line, E'\t', 2) FROM unnest(_tde_read(_tde_path(provider))) line
     WHERE lower(split_part(line, E'\t', 1)) = lower(key_name)
$$;

-- --------------------------------------------------------------------------------------- providers
CREATE FUNCTION _tde_required(value text, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF value IS NULL THEN
        RAISE EXCEPTION '% cannot be null', what USING ERRCODE = '22004';
    ELSIF value = '' THEN
        RAISE EXCEPTION '% "" is too short', what USING ERRCODE = '22023';
    END IF;
END $$;

CREATE FUNCTION _tde_provider(scope text, name text) RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE found jsonb := _tde_state() -> format('provider %s %s', scope, name);
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION 'key provider "%" does not exists', name USING ERRCODE = '22023';
    END IF;
    RETURN found;
END $$;

-- What pg_tde does to see whether a provider is any good: open its file, or talk to its server.  There is no
-- server in the lab, so every Vault and KMIP provider is one that does not answer.
CREATE FUNCTION _tde_validate(type text, name text, options json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE token text := options ->> 'tokenPath';
BEGIN
    CASE type
        WHEN 'file' THEN
            IF coalesce(options ->> 'path', '') = '' THEN
                RAISE EXCEPTION 'file path is missing in the keyring options' USING ERRCODE = '22023';
            END IF;
            PERFORM _tde_open(options ->> 'path');
        WHEN 'vault-v2' THEN
            IF pg_stat_file(token, true) IS NULL THEN
                RAISE EXCEPTION 'could not open file "%" for "vault_token": No such file or directory', token USING ERRCODE = '58P01';
            END IF;
            RAISE EXCEPTION 'HTTP(S) request to keyring provider "%" failed', name USING ERRCODE = 'XX000';
        WHEN 'kmip' THEN
            RAISE EXCEPTION 'SSL error: BIO_do_connect failed' USING ERRCODE = 'XX000';
        ELSE
            RAISE EXCEPTION 'Invalid provider type.' USING ERRCODE = '22000';
    END CASE;
END $$;

CREATE FUNCTION _tde_check_provider(type text, name text, options json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM _tde_guard();
    PERFORM _tde_required(type, 'provider type'), _tde_required(name, 'provider name'),
            _tde_required(options::text, 'provider options');
    IF octet_length(options::text) > 1023 THEN
        RAISE EXCEPTION 'too large provider options, maximum size is 1023 bytes' USING ERRCODE = '22023';
    ELSIF json_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'key provider options must be an object' USING ERRCODE = '22023';
    END IF;
END $$;

-- Ids count up (down, for global ones), and that of a deleted provider never comes back.
CREATE FUNCTION _tde_add(scope text, type text, name text, options json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    entry text := format('provider %s %s', scope, name);
    counter text := 'next ' || scope;
    id int;
BEGIN
    PERFORM _tde_check_provider(type, name, options);
    PERFORM _tde_validate(type, name, options);
    PERFORM _tde_lock();
    IF _tde_state() ? entry THEN
        RAISE EXCEPTION 'Key provider "%" already exists.', name USING ERRCODE = '42710';
    END IF;
    id := coalesce((_tde_state() ->> counter)::int, 1);
    PERFORM _tde_store(_tde_state() || jsonb_build_object(
        counter, id + 1,
        entry, jsonb_build_object('id', CASE scope WHEN 'global' THEN -id ELSE id END, 'scope', scope,
                                  'name', name, 'type', type, 'options', options::text)));
END $$;

-- A provider may not be changed into one that lacks a key in use, or has another under its name.
CREATE FUNCTION _tde_change(scope text, type text, name text, options json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    changed jsonb;
    used record;
    material text;
BEGIN
    PERFORM _tde_check_provider(type, name, options);
    changed := _tde_provider(scope, name) || jsonb_build_object('type', type, 'options', options::text);
    PERFORM _tde_validate(type, name, options);
    FOR used IN SELECT substr(e.key, 5) AS owner, e.value ->> 'key_name' AS key_name, e.value ->> 'digest' AS digest
                  FROM jsonb_each(_tde_state()) e
                 WHERE e.key LIKE 'key %' AND e.value ->> 'provider_id' = changed ->> 'id' AND e.value ->> 'scope' = scope
    LOOP
        material := _tde_material(changed, used.key_name);
        IF material IS NULL AND used.owner ~ '^\d+$' THEN
            RAISE EXCEPTION 'key "%" used by database "%" not found in modified key provider "%"', used.key_name,
                (SELECT datname FROM pg_database WHERE oid = used.owner::oid), name USING ERRCODE = 'P0002';
        ELSIF material IS NULL THEN
            RAISE EXCEPTION 'key "%" used as server key not found in modified key provider "%"', used.key_name, name
                USING ERRCODE = 'P0002';
        ELSIF md5(material) <> used.digest THEN
            RAISE EXCEPTION 'key "%" from modified key provider "%" does not match existing server key', used.key_name, name
                USING ERRCODE = 'XX000';
        END IF;
    END LOOP;
    PERFORM _tde_lock();
    PERFORM _tde_store(_tde_state() || jsonb_build_object(format('provider %s %s', scope, name), changed));
END $$;

CREATE FUNCTION _tde_delete_provider(scope text, name text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    provider jsonb;
BEGIN
    PERFORM _tde_guard();
    IF name IS NULL THEN
        RAISE EXCEPTION 'provider_name cannot be null' USING ERRCODE = '22004';
    END IF;
    provider := _tde_provider(scope, name);
    PERFORM _tde_lock();
    IF EXISTS (SELECT FROM jsonb_each(_tde_state()) e
                WHERE e.key LIKE 'key %' AND e.value -> 'provider_id' = provider -> 'id' AND e.value ->> 'scope' = scope) THEN
        RAISE EXCEPTION 'cannot delete provider which is currently in use' USING ERRCODE = '55006';
    END IF;
    PERFORM _tde_store(_tde_state() - format('provider %s %s', scope, name));
END $$;

CREATE FUNCTION _tde_list(scope text) RETURNS TABLE (id int, name text, type text, options json)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM _tde_guard();
    RETURN QUERY SELECT (e.value ->> 'id')::int, e.value ->> 'name', e.value ->> 'type', (e.value ->> 'options')::json
                   FROM jsonb_each(_tde_state()) e WHERE e.key LIKE format('provider %s %%', scope)
                  ORDER BY abs((e.value ->> 'id')::int);
END $$;

-- -------------------------------------------------------------------------------------------- keys
CREATE FUNCTION _tde_check_key(key_name text, provider_name text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM _tde_guard();
    PERFORM _tde_required(key_name, 'key name');
    IF octet_length(key_name) > 255 THEN
        RAISE EXCEPTION 'key name "%" is too long', key_name USING ERRCODE = '22023', HINT = 'Maximum length is 255 bytes.';
    ELSIF provider_name IS NULL THEN
        RAISE EXCEPTION 'key provider name cannot be null' USING ERRCODE = '22004';
    END IF;
END $$;

CREATE FUNCTION _tde_create(scope text, key_name text, provider_name text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    provider jsonb;
    path text;
BEGIN
    PERFORM _tde_check_key(key_name, provider_name);
    provider := _tde_provider(scope, provider_name);
    path := _tde_path(provider);
    IF _tde_material(provider, key_name) IS NOT NULL THEN
        RAISE EXCEPTION 'cannot create key "%" because it already exists', key_name USING ERRCODE = '22023';
    END IF;
    PERFORM _tde_open(path);
    PERFORM _tde_write(path, _tde_read(path) || format(E'%s\t%s', key_name, md5(gen_random_uuid()::text)));
END $$;

-- Setting the key that is set already is a rotation: it has another creation time afterwards.
CREATE FUNCTION _tde_set(owner text, scope text, key_name text, provider_name text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    provider jsonb;
    material text;
    key jsonb;
BEGIN
    PERFORM _tde_check_key(key_name, provider_name);
    provider := _tde_provider(scope, provider_name);
    material := _tde_material(provider, key_name);
    IF material IS NULL THEN
        RAISE EXCEPTION 'key "%" does not exist', key_name USING ERRCODE = '22023', HINT = format(
            'Use pg_tde_create_key_using_%s_key_provider() to create it.', CASE scope WHEN 'global' THEN scope ELSE 'database' END);
    END IF;
    key := jsonb_build_object('key_name', key_name, 'provider_name', provider_name, 'provider_id', provider -> 'id', 'scope', scope,
                              'created', clock_timestamp(), 'digest', md5(material));
    PERFORM _tde_lock();
    PERFORM _tde_store(_tde_state() || jsonb_build_object('key ' || owner, key)
        || CASE WHEN owner = 'default' AND NOT _tde_state() ? 'key server' THEN jsonb_build_object('key server', key) ELSE '{}' END);
END $$;

CREATE FUNCTION _tde_info(owner text, OUT key_name text, OUT provider_name text, OUT provider_id int, OUT key_creation_time timestamptz)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE key jsonb := _tde_key(owner);
BEGIN
    PERFORM _tde_guard();
    key_name := key ->> 'key_name';
    provider_name := key ->> 'provider_name';
    provider_id := key ->> 'provider_id';
    key_creation_time := key ->> 'created';
END $$;

-- The info functions answer from what is stored; this one goes and looks.
CREATE FUNCTION _tde_verify(owner text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    key jsonb := _tde_key(owner);
    material text;
BEGIN
    PERFORM _tde_guard();
    IF key IS NULL THEN
        RAISE EXCEPTION 'principal key not configured for current database' USING ERRCODE = 'XX000';
    END IF;
    material := _tde_material(_tde_provider(key ->> 'scope', key ->> 'provider_name'), key ->> 'key_name');
    IF material IS NULL THEN
        RAISE EXCEPTION 'key "%" not found in key provider "%"', key ->> 'key_name', key ->> 'provider_name' USING ERRCODE = 'P0002';
    ELSIF md5(material) <> key ->> 'digest' THEN
        RAISE EXCEPTION 'Failed to verify principal key header for key %, incorrect principal key or corrupted key file', key ->> 'key_name'
            USING ERRCODE = 'XX001';
    END IF;
END $$;

CREATE FUNCTION pg_tde_delete_key() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    state jsonb := _tde_state();
    own text := 'key ' || _tde_here();
BEGIN
    PERFORM _tde_guard(), _tde_lock();
    IF _tde_key(_tde_here()) IS NULL THEN
        RAISE EXCEPTION 'principal key does not exists for the database' USING ERRCODE = 'XX000';
    ELSIF _tde_has_encrypted() AND NOT state ? 'key default' THEN
        RAISE EXCEPTION 'cannot delete principal key' USING ERRCODE = '55006', DETAIL = 'There are encrypted tables in the database.',
            HINT = 'Set default principal key as fallback option or decrypt all tables before deleting principal key.';
    ELSIF _tde_has_encrypted() AND NOT state ? own THEN
        RAISE EXCEPTION 'cannot delete principal key' USING ERRCODE = '55006', DETAIL = 'There are encrypted tables in the database.';
    END IF;
    PERFORM _tde_store(state - own);
END $$;

CREATE FUNCTION pg_tde_delete_default_key() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    state jsonb := _tde_state();
    same text[];
BEGIN
    PERFORM _tde_guard(), _tde_lock();
    IF NOT state ? 'key default' THEN
        RAISE EXCEPTION 'default principal key is not set' USING ERRCODE = 'XX000';
    ELSIF _tde_has_encrypted() AND NOT state ? ('key ' || _tde_here()) THEN
        RAISE EXCEPTION 'cannot delete default principal key' USING ERRCODE = '55006',
            HINT = format('There are encrypted tables in the database with id: %s.', _tde_here());
    END IF;
    -- However the others were set: whoever has this same key loses it.
    SELECT array_agg(e.key) INTO same FROM jsonb_each(state) e
     WHERE e.key LIKE 'key %' AND e.value -> 'provider_id' = state -> 'key default' -> 'provider_id'
       AND e.value -> 'key_name' = state -> 'key default' -> 'key_name';
    PERFORM _tde_store(state - same);
END $$;

-- --------------------------------------------------------- the functions that differ in a word only
DO $generate$
DECLARE
    scope text;
    scope_expr text;
    verb text;
    owner record;
BEGIN
    FOR scope, scope_expr IN VALUES ('database', '_tde_here()'), ('global', '''global''') LOOP
        FOREACH verb IN ARRAY ARRAY['add', 'change'] LOOP
            EXECUTE format($f$
                CREATE FUNCTION pg_tde_%1$s_%2$s_key_provider(type text, name text, options json) RETURNS void
                    LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT _tde_%1$s(%3$s, type, name, options)';
                CREATE FUNCTION pg_tde_%1$s_%2$s_key_provider_file(provider_name text, file_path text) RETURNS void
                    LANGUAGE sql SET search_path FROM CURRENT
                    AS 'SELECT _tde_%1$s(%3$s, ''file'', provider_name, json_build_object(''path'', file_path))';
                CREATE FUNCTION pg_tde_%1$s_%2$s_key_provider_vault_v2(provider_name text, vault_url text, vault_mount_path text,
                        vault_token_path text, vault_ca_path text, vault_namespace text DEFAULT NULL) RETURNS void
                    LANGUAGE sql SET search_path FROM CURRENT
                    AS 'SELECT _tde_%1$s(%3$s, ''vault-v2'', provider_name, json_strip_nulls(json_build_object(
                            ''url'', vault_url, ''mountPath'', vault_mount_path, ''tokenPath'', vault_token_path,
                            ''caPath'', vault_ca_path, ''namespace'', vault_namespace)))';
                CREATE FUNCTION pg_tde_%1$s_%2$s_key_provider_kmip(provider_name text, kmip_host text, kmip_port int,
                        kmip_cert_path text, kmip_key_path text, kmip_ca_path text) RETURNS void
                    LANGUAGE sql SET search_path FROM CURRENT
                    AS 'SELECT _tde_%1$s(%3$s, ''kmip'', provider_name, json_build_object(''host'', kmip_host, ''port'', kmip_port,
                            ''certPath'', kmip_cert_path, ''keyPath'', kmip_key_path, ''caPath'', kmip_ca_path))';
                $f$, verb, scope, replace(scope_expr, '''', ''''''));
        END LOOP;
        EXECUTE format($f$
            CREATE FUNCTION pg_tde_delete_%1$s_key_provider(provider_name text) RETURNS void
                LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT _tde_delete_provider(%2$s, provider_name)';
            CREATE FUNCTION pg_tde_list_all_%1$s_key_providers() RETURNS TABLE (id int, name text, type text, options json)
                LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT * FROM _tde_list(%2$s)';
            CREATE FUNCTION pg_tde_create_key_using_%1$s_key_provider(key_name text, provider_name text) RETURNS void
                LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT _tde_create(%2$s, key_name, provider_name)';
            $f$, scope, replace(scope_expr, '''', ''''''));
    END LOOP;

    FOR owner IN SELECT * FROM (VALUES
            ('key_using_database',        '_tde_here()',   '_tde_here()'),
            ('key_using_global',          '_tde_here()',   '''global'''),
            ('server_key_using_global',   '''server''',    '''global'''),
            ('default_key_using_global',  '''default''',   '''global''')) AS v (name, owner, scope) LOOP
        EXECUTE format($f$
            CREATE FUNCTION pg_tde_set_%1$s_key_provider(key_name text, provider_name text) RETURNS void
                LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT _tde_set(%2$s, %3$s, key_name, provider_name)';
            $f$, owner.name, replace(owner.owner, '''', ''''''), replace(owner.scope, '''', ''''''));
    END LOOP;

    FOR owner IN SELECT * FROM (VALUES ('key', '_tde_here()'), ('server_key', '''server'''), ('default_key', '''default''')) AS v (name, owner) LOOP
        EXECUTE format($f$
            CREATE FUNCTION pg_tde_%1$s_info(OUT key_name text, OUT provider_name text, OUT provider_id int, OUT key_creation_time timestamptz)
                LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT * FROM _tde_info(%2$s)';
            CREATE FUNCTION pg_tde_verify_%1$s() RETURNS void
                LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT _tde_verify(%2$s)';
            $f$, owner.name, replace(owner.owner, '''', ''''''));
    END LOOP;
END $generate$;

CREATE FUNCTION pg_tde_version() RETURNS text LANGUAGE sql AS $$ SELECT 'pg_tde 2.2.0' $$;

-- ------------------------------------------------------------------------------ "encrypted" tables
CREATE ACCESS METHOD tde_heap TYPE TABLE HANDLER heap_tableam_handler;

-- True of a table that claims to be encrypted, whether or not its key can be had.
CREATE FUNCTION pg_tde_is_encrypted(relation regclass) RETURNS boolean LANGUAGE sql STABLE STRICT AS $$
    SELECT a.amname = 'tde_heap'
      FROM pg_class c
      LEFT JOIN pg_index i ON i.indexrelid = c.oid
      JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
      JOIN pg_am a ON a.oid = t.relam
     WHERE c.oid = relation AND t.relkind <> 'p'
$$;

CREATE FUNCTION _tde_check_tables() RETURNS event_trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT _tde_state() ?| ARRAY['key default', 'key ' || _tde_here()]
       AND EXISTS (SELECT FROM pg_event_trigger_ddl_commands() d JOIN pg_class c ON c.oid = d.objid AND d.classid = 'pg_class'::regclass
                     JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'tde_heap') THEN
        RAISE EXCEPTION 'principal key not configured' USING ERRCODE = 'XX000', HINT =
            'Use pg_tde_set_key_using_database_key_provider() or pg_tde_set_key_using_global_key_provider() to configure one.';
    END IF;
END $$;
CREATE EVENT TRIGGER pg_tde_check_tables ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE MATERIALIZED VIEW', 'ALTER TABLE')
    EXECUTE FUNCTION _tde_check_tables();

-- Everything but these is the superuser's.
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
              JOIN pg_extension e ON e.oid = d.refobjid
             WHERE e.extname = 'pg_tde' AND p.proname NOT IN ('pg_tde_is_encrypted', 'pg_tde_version') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
