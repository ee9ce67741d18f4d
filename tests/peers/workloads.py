"""The desired state of each workload, in the language of every peer."""
import hashlib
import json
import shutil

from where import ETC, GEN, HOSTS, NET, PORT, TREE, VENV, name

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200)

# What W1 wants: 20 tasks.
DIRS = [("etc", "0755"), ("var", "0750"), ("etc/conf.d", "0755")]
LINES = [f"setting_{i} = value_{i}" for i in range(8)]
TEMPLATES = "abcd"
COPIES = ["one", "two", "three"]
# W2: 100 lines that are there already.
W2LINES = [f"option_{i} = value number {i}" for i in range(100)]
# No block tag at a line's end: renders alike with trim_blocks on (ansible, trueup) and off (pyinfra).
TEMPLATE = """# managed file {{ letter }} of {{ host_name }}
[main]
name = {{ host_name }}
{% for i in range(30) %}key_{{ i }} = {{ letter }}-{{ host_name }}-{{ i * 7 }}
{% endfor %}end = true
"""
# W7: 1,000 tasks, 100 for each of ten services, as a play with many roles has them.
SERVICES = [f"s{n}" for n in range(10)]
BLOBS = {"W3": ("blob20", 20), "W4": ("blob200", 200)}


def gen(_=None):
    """Writes everything into GEN."""
    shutil.rmtree(GEN, ignore_errors=True)
    (GEN / "files").mkdir(parents=True)
    (GEN / "templates").mkdir()
    for c in COPIES:
        (GEN / "files" / c).write_text("".join(f"{c} {i} lorem ipsum dolor sit amet\n" for i in range(120)))
    for blob, mib in BLOBS.values():
        (GEN / "files" / blob).write_bytes(noise(mib))
    tree()
    (GEN / "templates" / "t.j2").write_text(TEMPLATE)
    for n in COUNTS:
        (GEN / f"hosts{n}").write_text("".join(f"{name(i)}\n" for i in range(1, n + 1)))
    ansible()
    pyinfra()
    shell()


def noise(mib):
    """Deterministic and incompressible."""
    block, out = hashlib.sha256(b"seed").digest(), bytearray()
    while len(out) < mib << 20:
        block = hashlib.sha512(block).digest()
        out += block
    return bytes(out[: mib << 20])


def tree():
    """5,000 files of 0 to 4 kB in 100 directories."""
    for d in range(100):
        directory = GEN / "files" / TREE / f"d{d:02}"
        directory.mkdir(parents=True)
        for f in range(50):
            (directory / f"f{f:02}").write_text(f"{d} {f} " + "x" * ((d * 50 + f) * 37 % 4096) + "\n")


def ansible():
    """Playbooks (which are Trueup's too), inventories, configurations."""
    a = GEN / "ansible"
    a.mkdir()

    def task(title, mod, **kw):
        return {"name": title, "ansible.builtin." + mod: kw}

    w1 = [task(f"dir {d}", "file", path="{{ base }}/" + d, state="directory", mode=m) for d, m in DIRS]
    w1 += [task(f"line {i}", "lineinfile", path="{{ base }}/etc/app.conf", line=l, create=True, mode="0644") for i, l in enumerate(LINES)]
    w1 += [dict(task(f"template {t}", "template", src=str(GEN / "templates/t.j2"), dest="{{ base }}/etc/conf.d/%s.conf" % t, mode="0644"),
                vars={"letter": t, "host_name": "{{ inventory_hostname }}"}) for t in TEMPLATES]
    w1 += [task(f"copy {c}", "copy", src=str(GEN / "files" / c), dest="{{ base }}/etc/%s" % c, mode="0644") for c in COPIES]
    w1 += [task("link", "file", src="conf.d/a.conf", dest="{{ base }}/etc/current", state="link")]
    w1 += [task("secret", "copy", content="secret of {{ inventory_hostname }}\n", dest="{{ base }}/etc/secret", mode="0600")]
    assert len(w1) == 20
    w7 = []
    for s in SERVICES:
        w7 += [task(f"{s} dir {i}", "file", path="{{ base }}/%s/d%d" % (s, i), state="directory", mode="0755") for i in range(5)]
        w7 += [task(f"{s} line {i}", "lineinfile", path="{{ base }}/%s/d%d/app.conf" % (s, i % 3), line=f"{s}_{i} = {i}", create=True, mode="0644")
               for i in range(60)]
        w7 += [dict(task(f"{s} template {i}", "template", src=str(GEN / "templates/t.j2"), dest="{{ base }}/%s/d3/%d.conf" % (s, i), mode="0644"),
                    vars={"letter": f"{s}{i}", "host_name": "{{ inventory_hostname }}"}) for i in range(10)]
        w7 += [task(f"{s} content {i}", "copy", content="%d of {{ inventory_hostname }}\n" % i, dest="{{ base }}/%s/d4/%d" % (s, i), mode="0644")
               for i in range(20)]
        w7 += [task(f"{s} link {i}", "file", src=f"../d3/{i}.conf", dest="{{ base }}/%s/d4/link%d" % (s, i), state="link") for i in range(5)]
    assert len(w7) == 1000
    tasks = {
        "W0": [task("true", "command", cmd="/bin/true")],
        "W1": w1,
        "W2": [task(f"option {i}", "lineinfile", path="{{ base }}/w2.conf", line=l) for i, l in enumerate(W2LINES)],
        "W2L": [dict(task("options", "lineinfile", path="{{ base }}/w2.conf", line="{{ item }}"), loop=W2LINES)],
        "W7": w7,
        "W5": [task("tree", "copy", src=str(GEN / "files" / TREE) + "/", dest="{{ base }}/tree/", mode="0644", directory_mode="0755")],
    }
    for w, (blob, _) in BLOBS.items():
        tasks[w] = [task("blob", "copy", src=str(GEN / "files" / blob), dest="{{ base }}/" + blob, mode="0644")]
    for w, t in tasks.items():
        for suffix, facts in ("", False), ("-facts", True):
            play = {"hosts": "all", "gather_facts": facts, "vars": {"base": f"{HOSTS}/{{{{ inventory_hostname }}}}"}, "tasks": t}
            (a / f"{w}{suffix}.yml").write_text(json.dumps([play], indent=1))  # JSON is YAML
    for n in COUNTS:
        (a / f"inv{n}").write_text("".join(f"{name(i)}\n" for i in range(1, n + 1)))
    strategy = next(VENV.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"), "MITOGEN-NOT-INSTALLED")
    mitogen = f"strategy_plugins = {strategy}\nstrategy = mitogen_linear\n"
    for variant, forks, extra in ("ansible", 50, ""), ("ansible-default", 5, ""), ("mitogen", 50, mitogen):
        pipelining = variant != "ansible-default"
        (a / f"{variant}.cfg").write_text(f"""[defaults]
forks = {forks}
interpreter_python = /usr/bin/python3
deprecation_warnings = False
retry_files_enabled = False
nocows = True
{extra}
[connection]
pipelining = {pipelining}
[ssh_connection]
pipelining = {pipelining}
control_path_dir = {GEN.parent}/cp
ssh_args = -F {ETC}/ssh_config -C -o ControlMaster=auto -o ControlPersist=60s
""")


def pyinfra():
    """Deploys and inventories; its SSH connector wants addresses."""
    for n in COUNTS:
        data = dict(ssh_port=PORT, ssh_user="root", ssh_key=str(ETC / "id"), ssh_known_hosts_file=str(ETC / "known_hosts"),
                    ssh_allow_agent=False, ssh_look_for_keys=False, ssh_strict_host_key_checking="yes")
        hosts = [(name(i), dict(data, ssh_hostname=f"{NET}.{i}")) for i in range(1, n + 1)]
        (GEN / f"pyinv{n}.py").write_text(f"hosts = {hosts!r}\n")
    p = GEN / "pyinfra"
    p.mkdir()
    head = ("from io import StringIO\nfrom pyinfra import host\nfrom pyinfra.operations import files, server\n"
            f"base = '{HOSTS}/' + host.name\n")
    w1 = [f"files.directory(name='dir {d}', path=base + '/{d}', mode='{m}')" for d, m in DIRS]
    w1 += [f"files.line(name='line {i}', path=base + '/etc/app.conf', line={'^' + l + '$'!r})" for i, l in enumerate(LINES)]
    w1 += [f"files.template(name='template {t}', src='{GEN}/templates/t.j2', dest=base + '/etc/conf.d/{t}.conf', mode='0644', "
           f"letter='{t}', host_name=host.name)" for t in TEMPLATES]
    w1 += [f"files.put(name='copy {c}', src='{GEN}/files/{c}', dest=base + '/etc/{c}', mode='0644')" for c in COPIES]
    w1 += ["files.link(name='link', path=base + '/etc/current', target='conf.d/a.conf')",
           "files.put(name='secret', src=StringIO('secret of ' + host.name + '\\n'), dest=base + '/etc/secret', mode='0600')"]
    w7 = []
    for s in SERVICES:
        w7 += [f"files.directory(name='{s} dir {i}', path=base + '/{s}/d{i}', mode='0755')" for i in range(5)]
        w7 += [f"files.line(name='{s} line {i}', path=base + '/{s}/d{i % 3}/app.conf', line='^{s}_{i} = {i}$')" for i in range(60)]
        w7 += [f"files.template(name='{s} template {i}', src='{GEN}/templates/t.j2', dest=base + '/{s}/d3/{i}.conf', mode='0644', "
               f"letter='{s}{i}', host_name=host.name)" for i in range(10)]
        w7 += [f"files.put(name='{s} content {i}', src=StringIO('{i} of ' + host.name + '\\n'), dest=base + '/{s}/d4/{i}', mode='0644')"
               for i in range(20)]
        w7 += [f"files.link(name='{s} link {i}', path=base + '/{s}/d4/link{i}', target='../d3/{i}.conf')" for i in range(5)]
    deploys = {
        "W0": ["server.shell(name='true', commands=['true'])"],
        "W1": w1,
        "W2": [f"files.line(name='option {i}', path=base + '/w2.conf', line={'^' + l + '$'!r})" for i, l in enumerate(W2LINES)],
        "W7": w7,
        "W5": [f"files.sync(name='tree', src='{GEN}/files/{TREE}', dest=base + '/tree', mode='0644', dir_mode='0755')"],
    }
    for w, (blob, _) in BLOBS.items():
        deploys[w] = [f"files.put(name='blob', src='{GEN}/files/{blob}', dest=base + '/{blob}', mode='0644')"]
    for w, lines in deploys.items():
        (p / f"{w}.py").write_text(head + "".join(line + "\n" for line in lines))


def shell():
    """An idempotent script by hand, fed to `ssh host sh -s`: what a careful administrator writes without a tool."""
    s = GEN / "sh"
    s.mkdir()
    functions = """b=%s/$1; h=$1
dir() { [ -d "$b/$1" ] && [ "$(stat -c %%a "$b/$1")" = "$2" ] || { mkdir -p "$b/$1" && chmod "$2" "$b/$1" && echo changed "$1"; }; }
line() { grep -qxF -- "$2" "$b/$1" 2>/dev/null || { printf '%%s\\n' "$2" >> "$b/$1" && echo changed "$1"; }; }
put() { cat > "$b/.new" && chmod "$2" "$b/.new"; if cmp -s "$b/.new" "$b/$1"; then rm "$b/.new"; else mv "$b/.new" "$b/$1"; echo changed "$1"; fi; }
""" % HOSTS
    w1 = functions + "".join(f"dir {d} {m.lstrip('0')}\n" for d, m in DIRS) + "".join(f"line etc/app.conf '{l}'\n" for l in LINES)
    for t in TEMPLATES:
        body = f"# managed file {t} of $h\n[main]\nname = $h\n" + "".join(f"key_{i} = {t}-$h-{i*7}\n" for i in range(30)) + "end = true\n"
        w1 += f"put etc/conf.d/{t}.conf 644 <<EOT\n{body}EOT\n"
    for c in COPIES:
        w1 += f"put etc/{c} 644 <<'EOT'\n{(GEN / 'files' / c).read_text()}EOT\n"
    w1 += "[ \"$(readlink $b/etc/current)\" = conf.d/a.conf ] || { ln -sfn conf.d/a.conf $b/etc/current; echo changed; }\n"
    w1 += "put etc/secret 600 <<EOT\nsecret of $h\nEOT\n"
    w7 = functions
    for service in SERVICES:
        w7 += "".join(f"dir {service}/d{i} 755\n" for i in range(5))
        w7 += "".join(f"line {service}/d{i % 3}/app.conf '{service}_{i} = {i}'\n" for i in range(60))
        for i in range(10):
            t = f"{service}{i}"
            body = f"# managed file {t} of $h\n[main]\nname = $h\n" + "".join(f"key_{k} = {t}-$h-{k*7}\n" for k in range(30)) + "end = true\n"
            w7 += f"put {service}/d3/{i}.conf 644 <<EOT\n{body}EOT\n"
        w7 += "".join(f"put {service}/d4/{i} 644 <<EOT\n{i} of $h\nEOT\n" for i in range(20))
        w7 += "".join(f"l=$b/{service}/d4/link{i}; [ \"$(readlink $l)\" = ../d3/{i}.conf ] || {{ ln -sfn ../d3/{i}.conf $l; echo changed; }}\n"
                      for i in range(5))
    (s / "W1.sh").write_text(w1)
    (s / "W7.sh").write_text(w7)
    (s / "W2.sh").write_text(functions + "".join(f"line w2.conf '{l}'\n" for l in W2LINES))
    (s / "W0.sh").write_text("true\n")
