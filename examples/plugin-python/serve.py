"""What every plugin in Python needs: streams of sluice.plugin.v1, values, health, reflection, and a drain on SIGTERM.

One thread reads the stream of a handler and answers what it can at once; calls run in a pool, so that a slow one holds up neither the others nor
the answer to Ping.
"""

import argparse
import queue
import signal
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from handler import Found, Rejected, Unavailable
from values import described, from_value, from_values, plugin_pb2_grpc, to_values, v1

CONTRACT = 1
CALLS_AT_ONCE = 16
STREAMS_AT_ONCE = 64
MAX_BYTES = 4 * 1024 * 1024
SERVICE = "sluice.plugin.v1.Plugin"

END = object()
PREPARE = {
    v1.CAPABILITY_CHECK: "prepare_check",
    v1.CAPABILITY_ENRICH: "prepare_lookup",
    v1.CAPABILITY_REPORT: "prepare_report",
    v1.CAPABILITY_QUOTA: "prepare_quota",
}

# ------------------------------------------------------------------------------------------------ a handler's stream

class Counter:
    def __init__(self, send, name, help_text):
        self._send, self._name, self._help = send, name, help_text
        self.add(0)

    def add(self, amount):
        self._send(counted=v1.Counted(name=self._name, help=self._help, amount=amount))


class Host:
    """What a handler gets of Sluice."""

    def __init__(self, stream, message):
        self._stream = stream
        self._ready = True
        self.handler = message.handler
        self.folder = message.folder

    def log(self, level, message, **fields):
        level = v1.LogLine.Level.Value(f"LEVEL_{level.upper()}")
        self._stream.send(log=v1.LogLine(level=level, message=message, fields=to_values(fields)))

    def ready(self, is_ready, why=""):
        """Sent when it changes."""
        if is_ready != self._ready:
            self._stream.send(readiness=v1.Readiness(ready=is_ready, why=why))
        self._ready = is_ready

    def counter(self, name, help_text):
        return Counter(self._stream.send, name, help_text)


class Stream:
    """One Handle stream: messages of the host in, a queue of messages out."""

    def __init__(self, server, context):
        self.server = server
        self.context = context
        self.out = queue.SimpleQueue()
        self.handler = None
        self.made = {}
        self.lookups = set()  # their slots: an Ask does not say what is asked
        self.waiting = set()
        self.lock = threading.Lock()

    def send(self, **kind):
        self.out.put(v1.PluginMessage(**kind))

    def read(self, requests):
        """In a thread of its own. The stream ends when the host ends it, or after Closed."""
        try:
            for request in requests:
                for message in request.messages:
                    kind = message.WhichOneof("kind")
                    take = getattr(self, f"on_{kind}", None) if kind else None
                    if take is not None:  # a kind that this version does not know is ignored
                        take(getattr(message, kind))
        except grpc.RpcError:
            pass  # the host has gone
        finally:
            self.out.put(END)

    def answers(self):
        """Batches of what is there."""
        while True:
            batch = [self.out.get()]
            while batch[-1] is not END and len(batch) < 256:
                try:
                    batch.append(self.out.get_nowait())
                except queue.Empty:
                    break
            messages = [one for one in batch if one is not END]
            if messages:
                yield v1.HandleResponse(messages=messages)
            if batch[-1] is END:
                return

    # ---- messages of the host

    def on_ping(self, _):
        self.send(pong=v1.Pong())

    def on_open(self, message):
        adapter = self.server.adapters.get(message.adapter)
        if message.contract != CONTRACT:
            return self.refuse(f"the host speaks version {message.contract} of the contract, and this plugin {CONTRACT}")
        if adapter is None:
            return self.refuse(f"there is no adapter {message.adapter}")
        handler = adapter()
        try:
            handler.open(from_value(message.config) or {}, Host(self, message))
        except Exception as error:  # noqa: BLE001  whatever is wrong is told to the operator
            return self.refuse(str(error))
        self.handler = handler
        self.send(opened=v1.Opened())

    def refuse(self, why):
        self.send(open_failed=v1.OpenFailed(why=why))
        self.out.put(END)

    def on_prepare(self, message):
        try:
            params = from_value(message.rule.params) or {}
            if message.capability == v1.CAPABILITY_ENRICH:
                self.lookups.add(message.slot)
            self.made[message.slot] = getattr(self.handler, PREPARE[message.capability])(message.rule, params)
            self.send(prepared=v1.Prepared(slot=message.slot))
        except Exception as error:  # noqa: BLE001
            self.send(prepared=v1.Prepared(slot=message.slot, why=str(error)))

    def on_forget(self, message):
        self.made.pop(message.slot, None)
        self.lookups.discard(message.slot)

    def on_ask(self, message):
        if message.slot in self.lookups:
            return self.run(message.call, lambda: self.look_up(message))

        def answer():
            decision = self.made[message.slot](from_values(message.input), message.call)
            member = "allow" if isinstance(decision, v1.Allow) else "deny"
            self.send(check=v1.CheckAnswer(number=message.call.number, **{member: decision}))

        self.run(message.call, answer)

    def look_up(self, message):
        found = self.made[message.slot](from_values(message.input), message.call)
        if not isinstance(found, Found):
            found = Found(found)
        self.send(lookup=v1.LookupAnswer(
            number=message.call.number, output=to_values(found.output), valid_for_ms=found.valid_for_ms, uses=found.uses
        ))

    def on_charge(self, message):
        def answer():
            answers = self.handler.charge([(self.made[ask.slot], ask) for ask in message.asks], message.call)
            self.send(charge=v1.ChargeAnswer(number=message.call.number, answers=answers))

        self.run(message.call, answer)

    def on_write(self, message):
        def answer():
            entries = [(self.made[entry.slot], Entry(entry)) for entry in message.entries]
            self.handler.write(entries, message.call)
            self.send(done=v1.Done(number=message.call.number))

        self.run(message.call, answer)

    def on_cancel(self, message):
        """A call that runs already goes on; its answer is ignored."""
        with self.lock:
            self.waiting.discard(message.number)

    def on_close(self, _):
        self.close()
        self.send(closed=v1.Closed())
        self.out.put(END)

    # ---- calls

    def run(self, call, answer):
        with self.lock:
            self.waiting.add(call.number)
        try:
            self.server.pool.submit(self.call, call, answer)
        except RuntimeError:  # the pool is shut down
            self.fail(call, Unavailable("the plugin is stopping"))

    def call(self, call, answer):
        with self.lock:
            if call.number not in self.waiting:
                return
            self.waiting.discard(call.number)
        try:
            answer()
        except Exception as error:  # noqa: BLE001  every error is an answer
            self.fail(call, error)

    def fail(self, call, error):
        failed = v1.Failed(number=call.number, message=str(error))
        if isinstance(error, Unavailable):
            failed.kind, failed.retry_after_ms = v1.Failed.KIND_UNAVAILABLE, error.retry_after_ms
        elif isinstance(error, Rejected):
            failed.kind = v1.Failed.KIND_REJECTED
            failed.entries.extend(error.entries)
        else:
            failed.name, failed.stack = type(error).__name__, "".join(traceback.format_exception(error))
        self.send(failed=failed)

    def close(self):
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.close()


class Entry:
    """A report with plain values."""

    def __init__(self, entry):
        self.id, self.time_ms, self.values = entry.id, entry.time_ms, from_values(entry.input)


# ------------------------------------------------------------------------------------------------ the server

class Plugin(plugin_pb2_grpc.PluginServicer):
    def __init__(self, adapters, software):
        self.adapters = {adapter.name: adapter for adapter in adapters}
        self.software = software
        self.pool = ThreadPoolExecutor(CALLS_AT_ONCE)
        self.streams = set()

    def Describe(self, request, context):  # noqa: N802
        adapters = [described(adapter) for adapter in self.adapters.values()]
        return v1.DescribeResponse(contract=CONTRACT, software=self.software, adapters=adapters)

    def Handle(self, requests, context):  # noqa: N802
        stream = Stream(self, context)
        self.streams.add(stream)
        threading.Thread(target=stream.read, args=(requests,), daemon=True).start()
        try:
            yield from stream.answers()
        finally:
            self.streams.discard(stream)
            stream.close()

    def drain(self):
        """Takes no more calls; ends each stream when its calls are answered."""
        self.pool.shutdown(wait=True)
        for stream in list(self.streams):
            stream.out.put(END)


def serve(adapters, software):
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="unix:/run/plugin.sock", help="unix:PATH or HOST:PORT")
    parser.add_argument("--grace", type=float, default=10, help="seconds for running calls at the end")
    arguments = parser.parse_args()
    plugin = Plugin(adapters, software)
    server = grpc.server(
        ThreadPoolExecutor(STREAMS_AT_ONCE),
        options=[("grpc.max_receive_message_length", MAX_BYTES), ("grpc.max_send_message_length", MAX_BYTES)],
    )
    plugin_pb2_grpc.add_PluginServicer_to_server(plugin, server)
    status = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    for service in ("", SERVICE):
        status.set(service, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    server.add_insecure_port(arguments.listen)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    print(f"serving plugins at {arguments.listen}", file=sys.stderr, flush=True)
    stop.wait()
    status.enter_graceful_shutdown()
    plugin.drain()
    server.stop(arguments.grace).wait()
