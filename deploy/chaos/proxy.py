"""A TCP proxy between the processes and a server, whose connections are cut."""

import asyncio
import threading


class Proxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`, in a thread of its own."""

    def __init__(self, target):
        self.target = target
        self.whole = True
        self._transports = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, "127.0.0.1", 0), self._loop).result()
        self.port = server.sockets[0].getsockname()[1]

    def cut(self):
        """Ends all connections, without a word; new ones are taken."""
        def abort():
            for transport in list(self._transports):
                transport.abort()
        self._loop.call_soon_threadsafe(abort)

    def break_down(self):
        """Ends all connections, and takes no more."""
        self.whole = False
        self.cut()

    def restore(self):
        self.whole = True

    async def _accept(self, reader, writer):
        if not self.whole:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ours = {writer.transport, far_writer.transport}
        self._transports |= ours
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._transports -= ours
            for transport in ours:
                transport.abort()

    @staticmethod
    async def _pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            # One direction that ends, ends both: nobody here half-closes a connection.
            writer.transport.close()
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
