"""A mutating webhook that puts a container beside each connector, as a service mesh does: one that never ends."""

import base64
import http.server
import json
import os
import ssl
import subprocess
import threading

NAME = "olake-e2e-mesh"
MESH = {
    "name": "mesh", "image": "localhost/busybox:1", "imagePullPolicy": "Never",
    # The first process of a container gets no SIGTERM that it does not handle.
    "command": ["sleep", "1000000"],
    "securityContext": {
        "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


class Injection:
    """While it is entered, each new pod of the namespace gets the container."""

    def __init__(self, kubectl, namespace, folder):
        self.kubectl, self.namespace, self.folder = kubectl, namespace, folder
        self.server = None

    def __enter__(self):
        certificate, key = (os.path.join(self.folder, f"mesh.{kind}") for kind in ("crt", "key"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
                "name": "mesh.olake.test", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5,
                "clientConfig": {"url": f"https://127.0.0.1:{self.server.server_port}/", "caBundle": authority},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }],
        })
        return self

    def __exit__(self, *_):
        self.kubectl.delete("mutatingwebhookconfiguration", NAME)
        self.server.shutdown()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = json.dumps([{"op": "add", "path": "/spec/containers/-", "value": MESH}])
        body = json.dumps({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch",
                         "patch": base64.b64encode(patch.encode()).decode()},
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
