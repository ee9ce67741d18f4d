-- What is known of pg_tde, asserted of whatever has the extension's name on this server: the stand-in, or the real one.
-- Run by facts.sh in a fresh database, with psql -v dir=DIRECTORY (which the server may write).
\set ON_ERROR_STOP on
\o /dev/null
SET client_min_messages = warning;
CREATE EXTENSION pg_tde;
CREATE FUNCTION fails(query text, state text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE query;
    EXCEPTION WHEN OTHERS THEN
        IF (SQLSTATE, SQLERRM) = (state, message) THEN RETURN; END IF;
        RAISE EXCEPTION 'of "%": expected % "%", got % "%"', query, state, message, SQLSTATE, SQLERRM;
    END;
    RAISE EXCEPTION 'did not fail: %', query;
END $$;
CREATE FUNCTION holds(what text, truth boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF truth IS NOT TRUE THEN RAISE EXCEPTION 'does not hold: %', what; END IF;
END $$;
SELECT :'dir' || '/ring' AS ring, :'dir' || '/other' AS other, :'dir' || '/empty' AS empty \gset

-- Before anything is set.
SELECT fails('CREATE EXTENSION pg_tde', '42710', 'extension "pg_tde" already exists');
SELECT holds('no providers are listed', NOT EXISTS (SELECT FROM pg_tde_list_all_global_key_providers())
                                    AND NOT EXISTS (SELECT FROM pg_tde_list_all_database_key_providers()));
SELECT holds(f || ' is one row of NULLs', count(*) = 1 AND count(k.key_name) + count(k.provider_id) + count(k.key_creation_time) = 0)
  FROM (SELECT 'server' AS f, * FROM pg_tde_server_key_info() UNION ALL SELECT 'default', * FROM pg_tde_default_key_info()
        UNION ALL SELECT 'database', * FROM pg_tde_key_info()) k GROUP BY f;
SELECT fails(format('SELECT pg_tde_verify_%s()', f), 'XX000', 'principal key not configured for current database')
  FROM unnest('{key,server_key,default_key}'::text[]) f;
SELECT fails('CREATE TABLE plain_key (i int) USING tde_heap', 'XX000', 'principal key not configured');
SELECT fails($$SELECT pg_tde_create_key_using_global_key_provider('k', 'x')$$, '22023', 'key provider "x" does not exists');
SELECT fails($$SELECT pg_tde_set_server_key_using_global_key_provider('k', 'x')$$, '22023', 'key provider "x" does not exists');
SELECT fails($$SELECT pg_tde_change_global_key_provider_file('x', '/tmp/x')$$, '22023', 'key provider "x" does not exists');
SELECT fails($$SELECT pg_tde_delete_global_key_provider('x')$$, '22023', 'key provider "x" does not exists');

-- Providers.
SELECT pg_tde_add_global_key_provider_file('p', :'ring');
SELECT holds('adding it makes its file', (pg_stat_file(:'ring')).size = 0);
SELECT holds('it is listed', (id < 0, name, type, options ->> 'path') = (true, 'p', 'file', :'ring')) FROM pg_tde_list_all_global_key_providers();
SELECT fails(format('SELECT pg_tde_add_global_key_provider_file(''p'', %L)', :'ring'), '42710', 'Key provider "p" already exists.');
SELECT fails(format('SELECT pg_tde_add_global_key_provider_file(''p'', %L)', :'empty'), '42710', 'Key provider "p" already exists.');
SELECT holds('even so, the other file is there', (pg_stat_file(:'empty')).size = 0);
SELECT fails($$SELECT pg_tde_add_global_key_provider_file('q', '/no/such/ring')$$, '58P01',
             'Failed to open keyring file /no/such/ring: No such file or directory');
SELECT fails($$SELECT pg_tde_add_global_key_provider_vault_v2('v', 'https://127.0.0.1:9', 'secret', '/no/token', NULL)$$, '58P01',
             'could not open file "/no/token" for "vault_token": No such file or directory');
SELECT fails($$SELECT pg_tde_add_global_key_provider_file(NULL, '/tmp/x')$$, '22004', 'provider name cannot be null');

-- Creating and setting keys.
SELECT fails($$SELECT pg_tde_set_server_key_using_global_key_provider('k', 'p')$$, '22023', 'key "k" does not exist');
SELECT pg_tde_create_key_using_global_key_provider('k', 'p');
SELECT fails($$SELECT pg_tde_create_key_using_global_key_provider('k', 'p')$$, '22023', 'cannot create key "k" because it already exists');
SELECT fails($$SELECT pg_tde_create_key_using_global_key_provider('K', 'p')$$, '22023', 'cannot create key "K" because it already exists');
SELECT holds('creating is not setting', key_name IS NULL) FROM pg_tde_server_key_info();
SELECT pg_tde_set_server_key_using_global_key_provider('k', 'p');
SELECT holds('the server key is set', (key_name, provider_name) = ('k', 'p') AND provider_id < 0) FROM pg_tde_server_key_info();
SELECT pg_tde_verify_server_key();
SELECT key_creation_time AS before FROM pg_tde_server_key_info() \gset
SELECT pg_sleep(1.1);
SELECT pg_tde_set_server_key_using_global_key_provider('k', 'p');
SELECT holds('setting it again is a rotation', key_creation_time > :'before') FROM pg_tde_server_key_info();
SELECT fails('CREATE TABLE no_db_key (i int) USING tde_heap', 'XX000', 'principal key not configured');

-- The default key, and the database's own.
SELECT pg_tde_create_key_using_global_key_provider('d', 'p');
SELECT pg_tde_set_default_key_using_global_key_provider('d', 'p');
SELECT holds('the server has its own key still', key_name = 'k') FROM pg_tde_server_key_info();
SELECT holds('the database has none before its first table', key_name IS NULL) FROM pg_tde_key_info();
CREATE TABLE enc (i int PRIMARY KEY) USING tde_heap;
CREATE TABLE plain (i int);
SELECT holds('then it has the default key', key_name = 'd') FROM pg_tde_key_info();
SELECT holds('is_encrypted', pg_tde_is_encrypted('enc') AND pg_tde_is_encrypted('enc_pkey') AND NOT pg_tde_is_encrypted('plain'));
SELECT pg_tde_verify_key(), pg_tde_verify_default_key();
SELECT fails('SELECT pg_tde_delete_default_key()', '55006', 'cannot delete default principal key');
SELECT pg_tde_add_database_key_provider_file('own', :'other');
SELECT holds('a database''s provider has a positive id', id > 0) FROM pg_tde_list_all_database_key_providers();
SELECT pg_tde_create_key_using_database_key_provider('mine', 'own');
SELECT pg_tde_set_key_using_database_key_provider('mine', 'own');
SELECT holds('the database has its own', (key_name, provider_name) = ('mine', 'own')) FROM pg_tde_key_info();
SELECT fails($$SELECT pg_tde_set_key_using_database_key_provider('mine', 'p')$$, '22023', 'key provider "p" does not exists');
SELECT fails($$SELECT pg_tde_delete_database_key_provider('own')$$, '55006', 'cannot delete provider which is currently in use');

-- Changing providers.
SELECT pg_tde_change_global_key_provider_file('p', :'ring');
SELECT fails(format('SELECT pg_tde_change_database_key_provider_file(''own'', %L)', :'empty'), 'P0002',
             format('key "mine" used by database "%s" not found in modified key provider "own"', current_database()));

-- No function is transactional in what it does to a file.
BEGIN;
SELECT pg_tde_create_key_using_global_key_provider('undone', 'p');
ROLLBACK;
SELECT fails($$SELECT pg_tde_create_key_using_global_key_provider('undone', 'p')$$, '22023', 'cannot create key "undone" because it already exists');

-- A key that is gone: the info functions answer all the same, and so does is_encrypted; verify looks.
\setenv ring :ring
\! mv "$ring" "$ring.away"
SELECT holds('info answers without the file', key_name = 'k') FROM pg_tde_server_key_info();
SELECT holds('is_encrypted is true without the file', pg_tde_is_encrypted('enc'));
SELECT fails('SELECT pg_tde_verify_server_key()', 'P0002', 'key "k" not found in key provider "p"');
SELECT fails($$SELECT pg_tde_set_server_key_using_global_key_provider('k', 'p')$$, '22023', 'key "k" does not exist');
SELECT pg_tde_create_key_using_global_key_provider('k', 'p');
SELECT fails('SELECT pg_tde_verify_server_key()', 'XX001',
             'Failed to verify principal key header for key k, incorrect principal key or corrupted key file');
\! mv "$ring.away" "$ring"
SELECT pg_tde_verify_server_key();
