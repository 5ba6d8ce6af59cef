"""Calls the workers' internal port through its Service, as an agent does, or as one does who pretends to be one."""

import base64
import gzip
import json
import socket

from chart import CONNECTORS, NAMESPACE, RELEASE

HOST, PORT = f"{RELEASE}-worker-internal.{NAMESPACE}.svc.cluster.local", 8082
MEGABYTE = 1_000_000


def token_of(kubectl, pod):
    """The token that the agent of a pod shows."""
    return base64.b64decode(kubectl.get("secret", pod, CONNECTORS)["data"]["token"]).decode()


def push(task, attempt, token, sequence=1, state='{"forged":true}', lines=("forged",), first_line=0):
    """Tells what a connector never wrote; answers status and words. As the first start of the agent."""
    body = {
        "incarnation": 1, "sequence": sequence, "state": state, "first_line": first_line,
        "lines": [{"level": "info", "time": "2026-01-01T00:00:00Z", "message": line} for line in lines]}
    return ask(task, attempt, token, [json.dumps(body).encode()])


def push_megabytes(task, attempt, token, number, chunked=False, packed=False):
    """Tells a state of so many megabytes: with its length or in chunks, as it is or packed."""
    begin = b'{"incarnation":1,"sequence":1000000,"state":"{\\"forged\\":\\"'
    parts = [begin, *[b"x" * MEGABYTE] * number, b'\\"}"}']
    if packed:
        parts = [gzip.compress(b"".join(parts), compresslevel=1)]
    return ask(task, attempt, token, parts, chunked, packed)


def ask(task, attempt, token, parts, chunked=False, packed=False):
    """Sends as much of the body as is taken: a server that refuses it need not read all of it."""
    head = [f"POST /internal/v1/attempts/{task}/{attempt}/push HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json",
            "Connection: close"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    if packed:
        head.append("Content-Encoding: gzip")
    head.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {sum(map(len, parts))}")
    with socket.create_connection((HOST, PORT), timeout=60) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        try:
            for part in parts:
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            if chunked:
                connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer is there already
        return answer(connection)


def answer(connection):
    """The status and the words of the answer."""
    text = b""
    while part := connection.recv(65536):
        text += part
    head, _, body = text.decode().partition("\r\n\r\n")
    return int(head.split(" ", 2)[1]), body
