"""A registry that has no image: what containerd asks for images of `localhost/…` in the cluster's network.

The pull of version SLOW goes on until `let_go`; then, and for every other version, there is no such image.
"""

import http.server
import threading

SLOW, MISSING = "v8.0.0", "v9.0.0"


class Registry:
    def __init__(self):
        self.let_gone = threading.Event()
        let_gone = self.let_gone

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer()

            def do_GET(self):
                self.answer()

            def answer(self):
                if self.path.endswith(f"/manifests/{SLOW}"):
                    let_gone.wait(600)
                body = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "there is no such image"}]}'
                self.send_response(404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def let_go(self):
        """Ends the pulls of SLOW: until then the kubelet does not let go of a pod that was deleted."""
        self.let_gone.set()

    def stop(self):
        self.let_go()
        self.server.shutdown()
