"""A mutating webhook that changes each new pod of a namespace, as others' webhooks do."""

import base64
import http.server
import json
import os
import ssl
import subprocess
import threading

NAME = "olake-e2e-injection"
# What a service mesh does: a container beside each connector, which never ends.
MESH = {
    "name": "mesh", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
    # The first process of a container gets no SIGTERM that it does not handle.
    "command": ["sleep", "1000000"],
    "securityContext": {
        "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
BESIDE = [{"op": "add", "path": "/spec/containers/-", "value": MESH}]


class Injection:
    """While it is entered, each new pod of the namespace is changed by the JSON patch."""

    def __init__(self, kubectl, namespace, folder, patch):
        self.kubectl, self.namespace, self.folder, self.patch = kubectl, namespace, folder, patch
        self.server = None

    def __enter__(self):
        certificate, key = (os.path.join(self.folder, f"injection.{kind}") for kind in ("crt", "key"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self.patch))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        with open(certificate, "rb") as file:
            authority = base64.b64encode(file.read()).decode()
        self.kubectl.apply({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": NAME},
            "webhooks": [{
                "name": "injection.olake.test", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5,
                "clientConfig": {"url": f"https://127.0.0.1:{self.server.server_port}/", "caBundle": authority},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }],
        })
        return self

    def __exit__(self, *_):
        self.kubectl.delete("mutatingwebhookconfiguration", NAME)
        self.server.shutdown()


def handler(patch):
    encoded = base64.b64encode(json.dumps(patch).encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch",
                             "patch": encoded},
            }).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler
