#!/bin/bash
#
# lab.sh - a lab of small, real Debian hosts on one machine, for integration tests.
#
# Every host is a Debian system of its own: systemd as PID 1, its own sshd, IP address,
# host key, users, packages and services.  It is a systemd-nspawn container whose disk is an
# overlay on one shared base, so a host costs about a second and a few dozen MiB.  Nothing but
# Debian packages is needed; the machine itself needs no systemd running, and it may use
# cgroup v1, v2 or both.  Must run as root.
#
#   lab.sh build                make the base and the hosts' package repository (idempotent)
#   lab.sh up N[:LAYER]         start hosts h1..hN, fresh disks, and wait until they are ready
#   lab.sh exec CMD...          run CMD on the control side: here, but in the lab's network
#   lab.sh ssh NAME [CMD...]    log in to a host (ops@NAME and others work too)
#   lab.sh down                 end every host; remove everything `up` made
#   lab.sh run N[:LAYER] CMD... up, exec CMD, down whatever happens; exits as CMD did
#
#   lab.sh cut NAME             pull the network cable       heal NAME   plug it in again
#   lab.sh slow NAME RATE       limit its bandwidth, e.g. to 1mbit        (heal undoes it)
#   lab.sh delay NAME MS [LOSS] MS ms of round trip, LOSS % of frames lost (heal undoes it)
#   lab.sh kill NAME            pull the power plug          start NAME  power on, same disk
#   lab.sh freeze NAME          hang the host: TCP connects, nothing answers     thaw NAME
#   lab.sh reset NAME           power on with a fresh disk
#
#   lab.sh status | addr NAME | inventory | log NAME | sh NAME [CMD...] | reindex | clean
#
# Where the hosts are.  The hosts and the control side are network namespaces of the lab's own,
# on a bridge of its own that is wired to nothing else: no traffic can leave the lab, and none
# of the machine's own addresses is used.  So the hosts can only be reached from the control
# side, that is, with `lab.sh exec`, `ssh` and `run`.  From there `h1` is a name that resolves.
#
# CMD of `exec` and `run` finds this lab in its environment as LAB_NAME, LAB_DIR and LAB (this script).
#
# What the hosts hold.  Logins by key ($LAB_DIR/ssh/id_ed25519): root; ops (sudo without a
# password); sudoer (sudo asks for the password, "lab").  Layers, each holding the one before:
#   base     systemd, dbus, sshd, sudo, iproute2, procps.  No Python.
#   pg       PostgreSQL (15 on bookworm) with a cluster `main`, not started at boot
#   python   Python 3 with python3-apt and python3-psycopg2 (for comparing with Ansible)
# Their apt reads only the repository made by `build` (/srv/apt on each host, file:, no network):
# $LAB_REPO_PACKAGES, all they depend on, and pg_tde_standin/ as a package.  To add a package of your own, put the .deb in
# $LAB_DIR/repo and say `lab.sh reindex`.
#
# What they can't do.  All share the machine's kernel: no kernel modules, no setting of the clock, no
# block devices, sysctl only under net.*; a unit's MemoryMax and the like have no effect where the
# machine's cgroup2 hierarchy has no controllers (cgroup v1 in use).
#
# Settings, from the environment:
: "${LAB_NAME:=lab}"                        # names namespaces and cgroups: labs side by side
: "${LAB_DIR:=/var/tmp/$LAB_NAME}"          # everything is kept here (ext4, xfs or tmpfs)
: "${LAB_NET:=10.77.0}"                     # hosts are $LAB_NET.11 and up, control is .1
: "${LAB_SUITE:=bookworm}"
: "${LAB_MIRROR:=}"                          # empty: the mirror that this machine itself uses
: "${LAB_REPO_PACKAGES:=postgresql nginx-light cron rsync tree}"
: "${LAB_JOBS:=4}"                          # hosts that boot at the same time
: "${LAB_BOOT_TIMEOUT:=90}"                 # seconds until a host that is not ready is an error
: "${TRUEUP_PG_BIN:=}"                       # programs of a PostgreSQL of this machine: the hosts see them, and can
                                            # install the package postgresql-MAJOR, whose programs they are

set -euo pipefail
PATH=${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin
readonly MAX_HOSTS=240
SELF=$(readlink -f "$0")
STANDIN=${SELF%/*}/pg_tde_standin           # packaged for the hosts as trueup-pg-tde-standin
export LAB=$SELF LAB_NAME LAB_DIR LAB_NET TRUEUP_PG_BIN

say()  { printf '%s\n' "lab: $*" >&2; }
die()  { say "$*"; exit 1; }

# --------------------------------------------------------------------------------- names
CTL=$LAB_NAME                               # the control side's network namespace
BASE=$LAB_DIR/base REPO=$LAB_DIR/repo SSH=$LAB_DIR/ssh HOSTS=$LAB_DIR/hosts
CGROOT=$LAB_DIR/cgroup                      # the lab's own mount of the cgroup2 hierarchy
CG=$CGROOT/$LAB_NAME

netns()   { printf '%s-%s' "$LAB_NAME" "$1"; }
number()  { [[ $1 =~ ^h([1-9][0-9]{0,2})$ ]] || die "not a host's name: $1"; printf '%s' "${BASH_REMATCH[1]}"; }
address() { local n; n=$(number "$1"); printf '%s.%d' "$LAB_NET" $((n + 10)); }
known()   { [[ -d $HOSTS/$1 ]] || die "no host $1 (lab.sh status lists them)"; }
all()     { [[ ! -d $HOSTS ]] || find "$HOSTS" -mindepth 1 -maxdepth 1 -name 'h*' -printf '%f\n' | sort -V; }
alive()   { grep -qs '^populated 1' "$CG/$1/cgroup.events"; }
in_lab()  { ip netns exec "$CTL" "$@"; }

# One lab.sh at a time changes what hosts there are.  (No host may inherit descriptor 9: it
# would hold the lock as long as it lives.)
lock()    { exec 9>"$LAB_DIR/lock"; flock --timeout 600 9 || die "another lab.sh holds $LAB_DIR/lock"; }
unlock()  { exec 9>&-; }

# The layers below LAYER as an overlayfs lowerdir, topmost first.
lower() {
    case $1 in
        base)   printf '%s' "$BASE" ;;
        pg)     printf '%s' "$LAB_DIR/layer/pg:$BASE" ;;
        python) printf '%s' "$LAB_DIR/layer/python:$LAB_DIR/layer/pg:$BASE" ;;
        *)      die "no such layer: $1 (base, pg, python)" ;;
    esac
}

# --------------------------------------------------------------------------------- build
# Sets LAB_MIRROR, unless it is set, to the mirror that this machine uses: for the same suite, else for any.
find_mirror() {
    local only
    [[ -z $LAB_MIRROR ]] || return 0
    for only in "Codename: $LAB_SUITE" "Origin: Debian"; do
        LAB_MIRROR=$(apt-get indextargets --format '$(REPO_URI)' "$only" "Component: main" "Identifier: Packages" |
            awk '!/-security/ && !seen++')
        [[ -z $LAB_MIRROR ]] || return 0
    done
    die "this machine's apt knows no Debian mirror (never updated?): apt-get update, or set LAB_MIRROR"
}

# quietly LOG CMD...: what CMD says matters only if it fails.
quietly() {
    local log=$1; shift
    "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "failed: $* (all it said: $log)"; }
}

need_packages() {
    local missing=() spec
    for spec in systemd-nspawn:systemd-container mmdebstrap:mmdebstrap ip:iproute2 ssh:openssh-client \
                unshare:util-linux dpkg-scanpackages:dpkg-dev sysctl:procps perl:perl; do
        command -v "${spec%%:*}" >/dev/null || missing+=("${spec##*:}")
    done
    (( ${#missing[@]} )) || return 0
    say "installing on this machine: ${missing[*]}"
    quietly "$LAB_DIR/packages.log" apt-get update -q
    DEBIAN_FRONTEND=noninteractive quietly "$LAB_DIR/packages.log" \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# The index goes in place by rename, so that a host's apt never reads half of one.  Release tells apt that there is
# no compressed one to look for.
cmd_reindex() (
    cd "$REPO"
    dpkg-scanpackages --multiversion . 2>/dev/null >Packages.new
    printf 'Suite: lab\nDate: %s\nSHA256:\n %s %s Packages\n' "$(date -uR)" "$(sha256sum Packages.new | cut -d' ' -f1)" \
        "$(stat -c %s Packages.new)" >Release.new
    mv Packages.new Packages
    mv Release.new Release
)

# The directories of the PostgreSQL of TRUEUP_PG_BIN: what a host must see.
pg_dirs() {
    [[ -n $TRUEUP_PG_BIN ]] || return 0
    printf '%s\n' "$(readlink -f "$TRUEUP_PG_BIN")"
    "$TRUEUP_PG_BIN/pg_config" --libdir --pkglibdir --sharedir | grep -vxE '/(usr/)?lib(/[^/]*-linux-gnu)?' | sort -u
}

# in_tree LOWERDIR UPPER CMD...: run CMD as root in a tree, what it writes going to UPPER (or,
# with UPPER empty, to the tree itself).  The mounts are in a namespace of their own and the
# processes too: both are gone when CMD ends, whatever a package's script left running.
in_tree() {
    local lower=$1 upper=$2; shift 2
    unshare --mount --pid --fork --kill-child -- bash -euc '
        lower=$1 upper=$2 repo=$3 root=$4; shift 4
        if [ -n "$upper" ]; then
            mkdir -p "$upper" "$upper.work" "$root"
            mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$upper.work,volatile" "$root"
        else
            root=$lower
        fi
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind "$repo" "$root/srv/apt"
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
            chroot "$root" "$@"' in_tree "$lower" "$upper" "$REPO" "$LAB_DIR/build-root" "$@"
    [[ -z $upper ]] || rm -rf "$upper.work" "$LAB_DIR/build-root"
}

build_base() {
    find_mirror
    say "base: $LAB_SUITE from $LAB_MIRROR"
    mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' --skip=cleanup/apt/lists \
        --include=systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,procps \
        "$LAB_SUITE" "$BASE" "$LAB_MIRROR"

    # The repository: fetched once, by the base's own apt, with all that the base lacks.
    say "repository: $LAB_REPO_PACKAGES"
    mkdir -p "$BASE/srv/apt" "$REPO"
    cp /etc/resolv.conf "$BASE/etc/resolv.conf"
    # shellcheck disable=SC2086 # the packages are words
    in_tree "$BASE" "" apt-get -q -y -o Dir::Cache::archives=/srv/apt --download-only install \
        $LAB_REPO_PACKAGES python3-minimal python3-apt python3-psycopg2 acl >/dev/null
    rm -rf "$REPO/partial" "$REPO/lock"
    # Beside Debian's, the packages that we make ourselves.
    local major
    major=$(basename "$(echo "$REPO"/postgresql-[0-9]*)" | sed 's/^postgresql-\([0-9]*\)_.*/\1/')
    "$STANDIN/build-deb.sh" "$REPO" "$major"
    cmd_reindex

    # From here on the base knows no network but the lab's.
    echo "deb [trusted=yes] file:/srv/apt ./" >"$BASE/etc/apt/sources.list"
    : >"$BASE/etc/resolv.conf"
    rm -rf "$BASE"/var/lib/apt/lists/*
    in_tree "$BASE" "" apt-get -q update >/dev/null

    # One identity for each host, made by fresh_disk.
    rm -f "$BASE"/etc/ssh/ssh_host_*_key* "$BASE"/etc/hostname "$BASE"/var/lib/dbus/machine-id
    echo 'LANG=C.UTF-8' >"$BASE/etc/default/locale"

    # The key exchange that OpenSSH prefers since 9.0 (sntrup761) takes about three times the
    # processor time of all the rest of a login.  A test suite logs in a great deal.
    echo 'KexAlgorithms curve25519-sha256' >"$BASE/etc/ssh/sshd_config.d/lab.conf"

    # Nothing that wakes up by itself in the middle of a test, and no console login.
    local unit
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
                e2scrub_reap.service console-getty.service getty@.service systemd-timesyncd.service; do
        ln -sf /dev/null "$BASE/etc/systemd/system/$unit"
    done

    # Users.
    in_tree "$BASE" "" bash -euc '
        useradd --create-home --shell /bin/bash ops
        useradd --create-home --shell /bin/bash --groups sudo sudoer
        echo "sudoer:lab" | chpasswd
        echo "ops ALL=(ALL:ALL) NOPASSWD: ALL" >/etc/sudoers.d/ops
        chmod 0440 /etc/sudoers.d/ops
        for home in /root /home/ops /home/sudoer; do mkdir -p -m 0700 $home/.ssh; done'
    local home
    for home in root home/ops home/sudoer; do
        install -m 0600 "$SSH/id_ed25519.pub" "$BASE/$home/.ssh/authorized_keys"
        chown -R --reference="$BASE/$home" "$BASE/$home/.ssh"
    done
}

# build_layer NAME LOWERDIR PACKAGES...
build_layer() {
    local name=$1 lower=$2; shift 2
    say "layer $name: $*"
    in_tree "$lower" "$LAB_DIR/layer/$name" bash -euc '
        trap "rm -f /usr/sbin/policy-rc.d" EXIT
        printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d; chmod 0755 /usr/sbin/policy-rc.d
        apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
        # A database starts when a test says so.
        ! [ -e /lib/systemd/system/postgresql.service ] || systemctl disable postgresql.service
        ' build_layer "$@" >"$LAB_DIR/layer-$name.log" 2>&1 || die "layer $name failed: $LAB_DIR/layer-$name.log"
}

# What the build depends on.  A build of anything else is another build.
build_id() {
    { declare -f build_base build_layer in_tree
      cat "$STANDIN"/{build-deb.sh,pg_tde.control,pg_tde--*.sql}
      echo "$LAB_SUITE $LAB_REPO_PACKAGES"; } | sha256sum | cut -d' ' -f1
}

cmd_build() {
    [[ $(cat "$LAB_DIR/built" 2>/dev/null) != "$(build_id)" ]] || return 0
    [[ -z $(all) ]] || die "hosts are up on the old base: lab.sh down first"
    need_packages
    rm -rf "$LAB_DIR/built" "$BASE" "$REPO" "$LAB_DIR/layer"
    mkdir -p "$LAB_DIR/layer"
    install -d -m 0700 "$SSH"
    [[ -f $SSH/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -C "$LAB_NAME" -f "$SSH/id_ed25519"
    build_base
    build_layer pg "$(lower base)" postgresql
    build_layer python "$(lower pg)" python3-minimal python3-apt python3-psycopg2 acl
    build_id >"$LAB_DIR/built"
    say "built in $SECONDS s, $(du -sh "$LAB_DIR" | cut -f1)"
}

# ------------------------------------------------------------------------------- network
network_up() {
    # The lab's addresses must not be in use on the machine itself.
    local used
    used=$(ip -4 route show to match "$LAB_NET.0/24" | grep -v '^default' || true)
    [[ -z $used ]] || die "$LAB_NET.0/24 is in use here ($used): set LAB_NET to another network"
    ip netns add "$CTL"
    ip -n "$CTL" -batch - <<-END
	link set lo up
	link add br0 type bridge forward_delay 0 mcast_snooping 0
	address add $LAB_NET.1/24 dev br0
	link set br0 up
	END
    # Outside the lab its addresses must lead nowhere: a test that forgot `lab.sh exec` fails at
    # once, and sends nothing to whoever may have that address on the machine's real network.
    ip route add unreachable "$LAB_NET.0/24"

    # `ip netns exec` puts these in place of /etc/hosts and /etc/resolv.conf.
    mkdir -p "/etc/netns/$CTL"
    : >"/etc/netns/$CTL/resolv.conf"
    hosts_file >"/etc/netns/$CTL/hosts"

    # Each host's systemd takes about eight inotify instances of the 128 that root has by default.
    local limit=/proc/sys/fs/inotify/max_user_instances
    (( $(<"$limit") >= 8192 )) || echo 8192 >"$limit"
}

hosts_file() {
    local i
    printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s.1\tcontrol\n' "$LAB_NET"
    for (( i = 1; i <= MAX_HOSTS; i++ )); do printf '%s.%d\th%d\n' "$LAB_NET" $((i + 10)) "$i"; done
}

# cable NAME: a namespace for the host's network, with eth0 wired to the bridge's port NAME.
cable() {
    local n; n=$(number "$1")
    ip netns add "$(netns "$1")"
    ip link add name "$1" netns "$CTL" type veth peer name eth0 netns "$(netns "$1")" \
        address "$(printf '02:1a:b0:00:00:%02x' "$n")"
    ip -n "$(netns "$1")" -batch - <<-END
	link set lo up
	address add $(address "$1")/24 dev eth0
	link set eth0 up
	END
    ip -n "$CTL" link set "$1" master br0 up
}

# delay NAME MS LOSS: put a slow cable between the host's port and the bridge.  (tc's netem would
# do, but not every kernel has it.)  No address may answer on the cable's ends but the bridge's own.
delay() {
    local name=$1 half=$(( $2 * 1000 / 2 )) log=$HOSTS/$1/cable.log tries
    undelay "$name"
    ip -n "$CTL" link add name "$name-a" type veth peer name "$name-b"
    ip -n "$CTL" link set "$name" nomaster
    in_lab sysctl -q -w "net.ipv4.conf.$name.arp_ignore=1" "net.ipv4.conf.$name-b.arp_ignore=1" \
        "net.ipv6.conf.$name.disable_ipv6=1" "net.ipv6.conf.$name-b.disable_ipv6=1"
    ip -n "$CTL" link set "$name-a" master br0 up
    ip -n "$CTL" link set "$name-b" up
    mkdir "$CG/cable-$name"
    ( echo "$BASHPID" >"$CG/cable-$name/cgroup.procs"
      in_lab setsid "${SELF%/*}/delay.pl" "$name" "$name-b" "${half%???}.${half: -3}" "$3" \
          </dev/null >"$log" 2>&1 9>&- & )
    for (( tries = 0; tries < 500; tries++ )); do
        ! grep -q '^ready' "$log" || return 0
        sleep 0.02
    done
    die "the slow cable did not start: $(<"$log")"
}

undelay() {
    [[ -d $CG/cable-$1 ]] || return 0
    power_off "cable-$1"
    ip -n "$CTL" link del "$1-a"
    ip -n "$CTL" link set "$1" master br0
}

# --------------------------------------------------------------------------------- hosts
# One mount of the cgroup2 hierarchy for the lab, wherever the machine keeps its own (if any).
# A host's processes are all in one cgroup, which is how they are counted, frozen and ended.
cgroups_up() {
    mkdir -p "$CGROOT"
    mountpoint -q "$CGROOT" || mount -t cgroup2 cgroup2 "$CGROOT"
    mkdir -p "$CG"
}

# fresh_disk NAME LAYER
fresh_disk() {
    local name=$1 disk=$HOSTS/$1
    lower "$2" >/dev/null                   # dies here if there is no such layer
    rm -rf "$disk"
    mkdir -p "$disk"/{upper/etc/ssh,work,root}
    echo "$2" >"$disk/layer"
    echo "$name" >"$disk/upper/etc/hostname"
    hosts_file >"$disk/upper/etc/hosts"
    printf '%s' "$LAB_NAME-$name-$EPOCHREALTIME" | md5sum | cut -c1-32 >"$disk/upper/etc/machine-id"
    ssh-keygen -q -t ed25519 -N '' -C "root@$name" -f "$disk/upper/etc/ssh/ssh_host_ed25519_key"
    printf '%s,%s %s\n' "$name" "$(address "$name")" "$(cut -d' ' -f1,2 "$disk/upper/etc/ssh/ssh_host_ed25519_key.pub")" \
        >"$disk/known_hosts"
}

trust() { cat "$HOSTS"/*/known_hosts >"$SSH/known_hosts"; }

# Start a host that is off.  Its supervisor is born in the host's cgroup, and goes on by itself,
# away from this shell's terminal.
power_on() {
    ! alive "$1" || die "$1 is on already"
    power_off "$1"                          # whatever a host that ended by itself has left
    mkdir "$CG/$1"
    ( echo "$BASHPID" >"$CG/$1/cgroup.procs"
      setsid unshare --mount -- "$SELF" _supervise "$1" </dev/null >>"$HOSTS/$1/console.log" 2>&1 9>&- & )
}

# The supervisor of one host.  It is in a mount namespace of its own, so all that it mounts is
# gone when the host is.
supervise() {
    local name=$1 disk=$HOSTS/$1 lower status
    lower=$(lower "$(<"$disk/layer")")

    # nspawn copies the layout that it finds: show it cgroup2 alone, as on any current system.
    umount --recursive --lazy /sys/fs/cgroup 2>/dev/null || true
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    # It keeps its locks here, and won't clean up where /run is not a tmpfs.
    mkdir -p /run/systemd
    mount -t tmpfs tmpfs /run/systemd
    # `volatile` makes the hosts' fsync free.  What a host has written survives its being killed
    # all the same (the machine's page cache is still there); only that must be said to overlayfs.
    rm -rf "$disk/work/work/incompat"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$disk/upper,workdir=$disk/work,volatile" "$disk/root"

    local binds=() dir
    while read -r dir; do binds+=(--bind-ro="$dir"); done < <(pg_dirs)

    unset NOTIFY_SOCKET
    export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network  # /proc/sys/net is the host's own
    while :; do
        status=0
        systemd-nspawn --quiet --register=no --keep-unit --boot --console=read-only \
            --machine="$name" --directory="$disk/root" --network-namespace-path="/run/netns/$(netns "$name")" \
            --capability=CAP_NET_ADMIN --system-call-filter=@memlock --bind-ro="$REPO:/srv/apt" "${binds[@]}" \
            --resolv-conf=off --timezone=off --link-journal=no || status=$?
        (( status == 133 )) || exit "$status"   # 133: the host wants a reboot
    done
}

# End every process of a host (with no NAME, of all hosts), at once, and remove its cgroups.
power_off() {
    local cg=$CG${1:+/$1} tries
    [[ -d $cg ]] || return 0
    echo 1 >"$cg/cgroup.kill"
    for (( tries = 0; tries < 1000; tries++ )); do
        grep -q '^populated 1' "$cg/cgroup.events" || break
        sleep 0.02
    done
    find "$cg" -depth -type d -exec rmdir {} +
}

# wait_ready NAME: until systemd has started all that a host starts at boot.
wait_ready() {
    local name=$1 until=$((SECONDS + LAB_BOOT_TIMEOUT)) state
    while (( SECONDS < until )); do
        # Exits 1 if some unit failed; its last line says what the state is.
        state=$(cmd_ssh "$name" systemctl is-system-running --wait 2>&1 | tail -n 1) || true
        case $state in
            running)  return 0 ;;
            degraded) cmd_ssh "$name" systemctl --failed --no-legend >&2; die "$name is up, but degraded" ;;
        esac
        alive "$name" || break
        sleep 0.1
    done
    tail -n 20 "$HOSTS/$name/console.log" >&2
    die "$name did not get ready ($state); its console is above"
}

ssh_config() {
    cat <<-END
	Host *
	    User root
	    IdentityFile $SSH/id_ed25519
	    IdentitiesOnly yes
	    UserKnownHostsFile $SSH/known_hosts
	    GlobalKnownHostsFile /dev/null
	    StrictHostKeyChecking yes
	    BatchMode yes
	    LogLevel ERROR
	    ConnectTimeout 10
	END
}

cmd_up() {
    local spec=${1:-} count layer i name names=()
    [[ $spec =~ ^([1-9][0-9]{0,2})(:([a-z]+))?$ ]] || die "how many hosts? N or N:LAYER"
    count=${BASH_REMATCH[1]} layer=${BASH_REMATCH[3]:-base}
    (( count <= MAX_HOSTS )) || die "at most $MAX_HOSTS hosts"
    lower "$layer" >/dev/null
    cmd_build
    cmd_down
    if [[ -n $TRUEUP_PG_BIN ]]; then
        "${SELF%/*}/pg-bin-deb.sh" "$REPO" "$TRUEUP_PG_BIN"
        cmd_reindex
        in_tree "$BASE" "" apt-get -q update >/dev/null
    fi
    cgroups_up
    network_up
    mkdir -p "$HOSTS"
    ssh_config >"$SSH/config"
    for (( i = 1; i <= count; i++ )); do names+=("h$i"); done
    for name in "${names[@]}"; do fresh_disk "$name" "$layer"; cable "$name"; done
    trust
    printf '%s\n' "${names[@]}" | xargs -P "$LAB_JOBS" -n 1 "$SELF" _boot || die "not all hosts are up"
    say "$count up ($layer) after $SECONDS s"
}

cmd_down() {
    local ns
    if mountpoint -q "$CGROOT"; then
        power_off
        umount "$CGROOT"
    fi
    for ns in $(ip netns list | awk -v l="$LAB_NAME" '$1 == l || index($1, l "-h") == 1 { print $1 }'); do ip netns del "$ns"; done
    ip route del unreachable "$LAB_NET.0/24" 2>/dev/null || true
    rm -rf "$HOSTS" "$SSH/known_hosts" "$SSH/config" "/etc/netns/$CTL"
    rmdir --ignore-fail-on-non-empty "$CGROOT" /etc/netns 2>/dev/null || true
}

cmd_run() {
    local spec=$1 rc=0
    shift
    trap 'lock; cmd_down' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    cmd_up "$spec"
    unlock                                  # CMD itself uses the lab's other verbs
    # In the background, so that a signal is heeded at once; in a cgroup, so that `down` ends
    # whatever CMD has left running, such as ssh's kept connections.
    mkdir "$CG/control"
    ( echo "$BASHPID" >"$CG/control/cgroup.procs"; exec ip netns exec "$CTL" "$@" ) <&0 &
    wait $! || rc=$?
    exit "$rc"
}

cmd_ssh() {
    local name=${1##*@}
    known "$name"
    in_lab ssh -F "$SSH/config" "$@"
}

# Sets LEADER to the PID of a host's systemd: the one child of its nspawn.
leader() {
    local nspawn
    nspawn=$(head -n 1 "$CG/$1/supervisor/cgroup.procs" 2>/dev/null) || true
    [[ -n $nspawn ]] || die "$1 is off"
    read -r LEADER _ <"/proc/$nspawn/task/$nspawn/children" || die "$1 is off"
}

cmd_sh() {
    local name=$1; shift
    known "$name"
    leader "$name"
    (( $# )) || set -- bash -l
    exec nsenter --target "$LEADER" --mount --uts --ipc --net --pid --cgroup --root --wd -- "$@"
}

cmd_status() {
    local name state port
    for name in $(all); do
        state=off
        if alive "$name"; then
            state=on
            ! grep -qs '^frozen 1' "$CG/$name/cgroup.events" || state=frozen
        fi
        port=connected
        [[ $(ip -n "$CTL" -o link show dev "$name") == *,UP* ]] || port='cut'
        printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$(address "$name")" "$(<"$HOSTS/$name/layer")" "$state" "$port"
    done
}

cmd_inventory() {
    local name
    echo '[lab]'
    for name in $(all); do
        printf '%s ansible_host=%s ansible_user=root ansible_ssh_private_key_file=%s ansible_ssh_common_args="-F %s"\n' \
            "$name" "$(address "$name")" "$SSH/id_ed25519" "$SSH/config"
    done
}

# ---------------------------------------------------------------------------------- main
usage() { sed -n '/^#   lab.sh build/,/^#   lab.sh status/s/^#   //p' "$SELF" >&2; exit 2; }

main() {
    local verb=${1:-} name=${2:-}
    [[ -n $verb ]] || usage
    shift
    (( EUID == 0 )) || die "must run as root"
    [[ -e /proc/self/fd/0 ]] || exec </dev/null         # CI may give us no standard input at all
    mkdir -p "$LAB_DIR"
    case $verb in
        build|up|down|run|clean|start|kill|reset) lock ;;
    esac
    case $verb in cut|heal|slow|delay|kill|start|reset|freeze|thaw|log) [[ -n $name ]] || usage; known "$name" ;; esac
    case $verb in
        build|up|down|reindex|ssh|sh|status|inventory) "cmd_$verb" "$@" ;;
        run)    (( $# >= 2 )) || usage; cmd_run "$@" ;;
        exec)   [[ -e /run/netns/$CTL ]] || die "no lab is up"; in_lab "$@" ;;
        cut)    ip -n "$CTL" link set "$name" down ;;
        heal)   undelay "$name"
                ip -n "$CTL" link set "$name" up
                tc -n "$CTL" qdisc del dev "$name" root 2>/dev/null || true
                tc -n "$(netns "$name")" qdisc del dev eth0 root 2>/dev/null || true ;;
        delay)  [[ ${2:-} =~ ^[0-9]+$ && ${3:-0} =~ ^[0-9.]+$ ]] || usage
                delay "$name" "$2" "${3:-0}" ;;
        slow)   [[ -n ${2:-} ]] || usage
                tc -n "$CTL" qdisc replace dev "$name" root tbf rate "$2" burst 32k latency 1s
                tc -n "$(netns "$name")" qdisc replace dev eth0 root tbf rate "$2" burst 32k latency 1s ;;
        kill)   power_off "$name" ;;
        start)  power_on "$name"; unlock; wait_ready "$name" ;;
        reset)  layer=$(<"$HOSTS/$name/layer")
                power_off "$name"; fresh_disk "$name" "$layer"; trust; power_on "$name"; unlock; wait_ready "$name" ;;
        freeze) echo 1 >"$CG/$name/cgroup.freeze" ;;
        thaw)   echo 0 >"$CG/$name/cgroup.freeze" ;;
        log)    cat "$HOSTS/$name/console.log" ;;
        addr)   address "$name"; echo ;;
        clean)  cmd_down; rm -rf "$LAB_DIR" ;;
        _supervise) supervise "$name" ;;
        _boot)  power_on "$name"; wait_ready "$name" ;;
        *)      usage ;;
    esac
}

main "$@"; exit                         # (one line: this file may be edited while it runs)
