#!/usr/bin/env python3
"""Listens on the loopback of this machine, and connects to addresses of the cluster's network.

    proxy.py PID PORTS P=ADDRESS:PORT...

PID is a process in the cluster's network namespace; the proxy ends with it. A P of 0 is a free port. Once it listens, the
file PORTS holds a line P=ADDRESS:PORT for each, with the ports that were taken.
"""

import ctypes
import os
import select
import socket
import sys
import threading

CLONE_NEWNET = 0x40000000
TO_CONNECT = 10


def pump(source, target):
    """Copies bytes until the source ends, and hands the end on."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(client, address):
    """Serves one connection."""
    try:
        server = socket.create_connection(address, TO_CONNECT)
    except OSError:
        client.close()
        return
    server.settimeout(None)
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=pump, args=(server, client), daemon=True)
    back.start()
    pump(client, server)
    back.join()
    client.close()
    server.close()


def accept(listener, address):
    """Serves every connection of a listener, each in a thread."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, address), daemon=True).start()


def main():
    pid, ports, *pairs = sys.argv[1:]
    listeners = []
    for pair in pairs:
        port, address = pair.split("=", 1)
        host, _, remote = address.rpartition(":")
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen(128)
        listeners.append((listener, (host, int(remote))))

    first = os.pidfd_open(int(pid))
    # A socket stays in the namespace that it was made in: those above are the machine's, those to come the cluster's.
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        sys.exit("setns: " + os.strerror(ctypes.get_errno()))

    for listener, address in listeners:
        threading.Thread(target=accept, args=(listener, address), daemon=True).start()
    with open(ports + ".new", "w", encoding="ascii") as file:
        for listener, (host, remote) in listeners:
            file.write(f"{listener.getsockname()[1]}={host}:{remote}\n")
    os.replace(ports + ".new", ports)
    select.select([first], [], [])


if __name__ == "__main__":
    main()
