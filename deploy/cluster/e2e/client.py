"""Calls the API of the control plane, through its Service."""

import http.client
import json

PROJECT = "/api/v1/project/123"
USER, PASSWORD = "admin", "a password for tests only"


class Refused(Exception):
    """The API answered an error, or nothing."""

    def __init__(self, what, status=None, body=None):
        super().__init__(what)
        self.status, self.body = status, body


class Client:
    """Safe to use from several threads."""

    def __init__(self, host, port):
        self.host, self.port, self.token = host, port, None

    def call(self, method, path, body=None, seconds=60):
        """The `data` of the answer."""
        return json.loads(self.text(method, path, body, seconds))["data"]

    def text(self, method, path, body=None, seconds=60):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status not in (200, 202):
            raise Refused(f"{method} {path}: {answer.status} {text[:500]}", answer.status, text)
        return text

    def get(self, path, seconds=60):
        return self.call("GET", PROJECT + path, seconds=seconds)

    def post(self, path, body=None, seconds=60):
        return self.call("POST", PROJECT + path, body, seconds)

    def put(self, path, body, seconds=60):
        return self.call("PUT", PROJECT + path, body, seconds)

    def login(self):
        self.token = self.call("POST", "/login", {"username": USER, "password": PASSWORD})["token"]

    def is_ready(self):
        try:
            self.text("GET", "/ready", seconds=5)
            return True
        except Refused:
            return False
