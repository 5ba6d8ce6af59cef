"""A registry that has no image: what containerd asks for images of `localhost/…` in the cluster's network.

A version that begins with "v8." never answers, so that its pull goes on; all others are not found.
"""

import http.server
import threading

SLOW, MISSING = "v8.0.0", "v9.0.0"


class Registry:
    def __init__(self):
        self.stopping = threading.Event()
        stopping = self.stopping

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer()

            def do_GET(self):
                self.answer()

            def answer(self):
                if "/manifests/v8." in self.path:
                    stopping.wait(600)
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

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
