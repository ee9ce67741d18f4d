"""Hosts as they are on a bad day, beside good ones. `bad.py NET PORT GOOD FIRST KIND...`: the first kind lives at NET.FIRST, the next at the next
address; GOOD is the address of a sound sshd, which those talk to that answer at all. Says `ready`, and goes on until its input ends.

  refused    nothing listens
  blackhole  packets vanish: the queue of a socket that nobody accepts on is full, and the kernel drops what comes
  silent     the connection is accepted, and nothing is ever said
  late       a sound host that takes 5 seconds to answer
  cut        a sound host that closes the connection in the middle of the run
  frozen     a sound host that stops answering in the middle of the run
"""
import os
import select
import socket
import sys
import threading
import time

LATE = 5
# The middle: after so many seconds. The workload sleeps longer than that.
MIDDLE = 1.5
KEPT = []


def blackhole(listener, at):
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(at)
        KEPT.append(s)


def serve(listener, kind, good):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if kind == "silent":
            KEPT.append(client)
        else:
            threading.Thread(target=relay, args=(client, kind, good), daemon=True).start()


def relay(client, kind, good):
    if kind == "late":
        time.sleep(LATE)
    try:
        server = socket.create_connection(good)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.time() + MIDDLE if kind != "late" else float("inf")
        other = {client: server, server: client}
        while True:
            left = min(end - time.time(), 3600)
            ready = select.select([client, server], [], [], max(0, left))[0]
            if time.time() >= end:
                break
            for s in ready:
                data = s.recv(1 << 16)
                if not data:
                    return client.close(), server.close()
                other[s].sendall(data)
    except OSError:
        return client.close()
    if kind == "frozen":
        KEPT.append(client)
    else:
        client.close()
    server.close()


def main():
    net, port, good, first, *kinds = sys.argv[1:]
    for n, kind in enumerate(kinds, int(first)):
        at = (f"{net}.{n}", int(port))
        if kind == "refused":
            continue
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(at)
        listener.listen(0 if kind == "blackhole" else 128)
        KEPT.append(listener)
        if kind == "blackhole":
            blackhole(listener, at)
        else:
            threading.Thread(target=serve, args=(listener, kind, (good, int(port))), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


main()
