#!/bin/bash
#
# tls.sh - connections to a PostgreSQL that takes only encrypted ones, by each of libpq's modes, with good and bad certificates.
# Run: TRUEUP=... lab.sh run 1:pg tests/lab/tls.sh
. "$(dirname "$(readlink -f "$0")")/checks.sh"

# ask PARAMETERS: what a session over them says of itself, as `encrypted user`; or the error.
ask() {
    cat >"$out/ask.yml" <<YAML
- hosts: h1
  tasks:
    - sql_exec:
        query: SELECT ssl, usename FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE pid = pg_backend_pid()
        read_only: true
        db: postgres
        $1
      register: session
    - debug: { msg: "session: {{ session.rows[0] | join(' ') }}" }
YAML
    "$TRUEUP" apply -i "$LAB_DIR/inventory.ini" "$out/ask.yml" 2>&1
}
# answers NAME WANTED PARAMETERS
answers() {
    local said; said=$(ask "$3")
    if grep -qF -e "$2" <<<"$said"; then passed=$((passed + 1)); echo "ok    $1"
    else failed=$((failed + 1)); echo "FAIL  $1: not said: $2"; sed 's/^/      /' <<<"$said"; fi
}

"$LAB" inventory >"$LAB_DIR/inventory.ini"
on h1 bash -es <<'SH' >"$out/setup" 2>&1 || { cat "$out/setup"; exit 1; }
mkdir /root/pki && cd /root/pki
authority() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.crt"; }
signed() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA lab.crt -CAkey lab.key -CAcreateserial -days 2 -out "$1.crt" -extfile <(echo "subjectAltName=DNS:$1")
}
authority lab; authority other; signed h1; signed app
install -o postgres -m 600 h1.key /var/lib/postgresql/h1.key
install -o postgres h1.crt lab.crt /var/lib/postgresql/
cat >/etc/postgresql/15/main/pg_hba.conf <<HBA
local     all all                 peer
hostssl   all tls       0.0.0.0/0 scram-sha-256
hostssl   all app       0.0.0.0/0 cert
hostnossl all plain     0.0.0.0/0 scram-sha-256
HBA
systemctl start postgresql@15-main
cd / && runuser -u postgres -- psql -qv ON_ERROR_STOP=1 <<SQL
CREATE ROLE tls LOGIN PASSWORD 'pw'; CREATE ROLE plain LOGIN PASSWORD 'pw'; CREATE ROLE app LOGIN; CREATE ROLE root LOGIN;
ALTER SYSTEM SET listen_addresses = '*';
ALTER SYSTEM SET ssl_cert_file = '/var/lib/postgresql/h1.crt';
ALTER SYSTEM SET ssl_key_file = '/var/lib/postgresql/h1.key';
ALTER SYSTEM SET ssl_ca_file = '/var/lib/postgresql/lab.crt';
SQL
systemctl restart postgresql@15-main
SH

tls='login_host: h1, login_user: tls, login_password: pw'
plain='login_host: h1, login_user: plain, login_password: pw'
address="login_host: $("$LAB" addr h1), login_user: tls, login_password: pw"
params() { printf '%s' "${1//, /$'\n        '}"; }
while IFS='|' read -r name wanted parameters; do
    answers "$name" "$wanted" "$(params "$(eval "echo \"$parameters\"")")"
done <<'TABLE'
disable: not encrypted, so refused|no pg_hba.conf entry for host|$tls, ssl_mode: disable
disable: where plain is wanted|session: False plain|$plain, ssl_mode: disable
allow: encrypted, since plain is refused|session: True tls|$tls, ssl_mode: allow
allow: plain, where that is wanted|session: False plain|$plain, ssl_mode: allow
prefer is the default: encrypted|session: True tls|$tls
prefer: plain, since encrypted is refused|session: False plain|$plain, ssl_mode: prefer
require: encrypted, nobody to trust|session: True tls|$tls, ssl_mode: require
require: plain is refused|no pg_hba.conf entry for host|$plain, ssl_mode: require
require: checked once there is an authority|UnknownIssuer|$tls, ssl_mode: require, ca_cert: /root/pki/other.crt
verify-ca: signed by it|session: True tls|$tls, ssl_mode: verify-ca, ca_cert: /root/pki/lab.crt
verify-ca: under another name|session: True tls|$address, ssl_mode: verify-ca, ca_cert: /root/pki/lab.crt
verify-ca: another authority|hint: `ca_cert` names the file of the authority that signed it|$tls, ssl_mode: verify-ca, ca_cert: /root/pki/other.crt
verify-ca: the machine's own authorities|UnknownIssuer|$tls, ssl_mode: verify-ca, ca_cert: system
verify-full: its name|session: True tls|$tls, ssl_mode: verify-full, ca_cert: /root/pki/lab.crt
verify-full: another name|hint: the certificate is for another name than `login_host`|$address, ssl_mode: verify-full, ca_cert: /root/pki/lab.crt
verify-full: no authority|there is no /root/.postgresql/root.crt; name a file in `ca_cert`|$tls, ssl_mode: verify-full
a file that is not there|cannot use /root/pki/none.crt|$tls, ssl_mode: require, ca_cert: /root/pki/none.crt
a file without a certificate|cannot use /etc/hostname: there is no certificate in it|$tls, ssl_mode: require, ca_cert: /etc/hostname
a wrong password|password authentication failed|login_host: h1, login_user: tls, login_password: no, ssl_mode: require
a certificate to log in with|session: True app|login_host: h1, login_user: app, ssl_mode: require, ssl_cert: /root/pki/app.crt, ssl_key: /root/pki/app.key
a certificate without its key|`ssl_cert` and `ssl_key` belong together|login_host: h1, login_user: app, ssl_mode: require, ssl_cert: /root/pki/app.crt
a unix socket is never encrypted|session: False root|ssl_mode: verify-full
a mode that does not exist|did you mean `verify-full`|$tls, ssl_mode: verify_full
TABLE
on h1 'install -d /root/.postgresql && cp /root/pki/lab.crt /root/.postgresql/root.crt'
answers "verify-full: libpq's own file of authorities" 'session: True tls' "$(params "$tls, ssl_mode: verify-full")"

finish
