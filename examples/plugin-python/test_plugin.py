"""The plugin as a host sees it: `python -m unittest`, after `sh make.sh`."""

import os
import queue
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import grpc

from serve import MAX_BYTES
from values import from_values, plugin_pb2_grpc, to_value, to_values, v1

HERE = Path(__file__).parent


class PluginTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        address = f"unix:{self.folder.name}/plugin.sock"
        self.server = subprocess.Popen(
            [sys.executable, HERE / "plugin.py", "--listen", address], stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(self.stop)
        self.assertIn("serving plugins", self.server.stderr.readline())
        channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", MAX_BYTES)])
        self.addCleanup(channel.close)
        self.plugin = plugin_pb2_grpc.PluginStub(channel)

    def stop(self):
        self.server.terminate()
        self.assertEqual(self.server.wait(20), 0)
        self.server.stderr.close()

    def write_list(self, *users):
        Path(self.folder.name, "revoked.txt").write_text("\n".join(users), encoding="utf-8")

    def open(self, adapter, config):
        """Returns a function that sends one message of the host and returns the next answer of that kind."""
        sent = queue.SimpleQueue()
        answers = self.plugin.Handle(iter(sent.get, None))
        self.addCleanup(sent.put, None)
        received = (message for response in answers for message in response.messages)

        def ask(answer, **kind):
            sent.put(v1.HandleRequest(messages=[v1.HostMessage(**kind)]))
            return next(getattr(one, one.WhichOneof("kind")) for one in received if one.WhichOneof("kind") in answer)

        opened = ask(
            ("opened", "open_failed"),
            open=v1.Open(handler="h", adapter=adapter, config=to_value(config), folder=self.folder.name, contract=1),
        )
        return opened, ask

    def test_it_describes_its_adapters(self):
        described = self.plugin.Describe(v1.DescribeRequest(contract=1))
        self.assertEqual([one.name for one in described.adapters], ["check-revoked", "log-lines", "quota-windows", "enrich-teams"])
        self.assertEqual(described.contract, 1)

    def test_users_on_the_list_are_refused(self):
        self.write_list("bob")
        _, ask = self.open("check-revoked", {"file": "revoked.txt", "contact": "ops"})
        ask(("prepared",), prepare=v1.Prepare(slot=1, capability=v1.CAPABILITY_CHECK, rule=v1.Rule(rule="r", params=to_value({"ignore": ["eve"]}))))
        check = lambda number, user: ask(  # noqa: E731
            ("check", "failed"),
            ask=v1.Ask(call=v1.Call(number=number, remaining_ms=1000), slot=1, input=to_values({"user": user})),
        )
        self.assertTrue(check(1, "ann").HasField("allow"))
        denied = check(2, "bob").deny
        self.assertEqual((denied.code, denied.reason), (7, "bob is revoked"))
        self.assertEqual(from_values(denied.output), {"contact": "ops"})

    def test_a_list_that_is_missing_makes_calls_fail_and_not_pass(self):
        opened, ask = self.open("check-revoked", {"file": "none.txt", "contact": "ops"})
        self.assertIsInstance(opened, v1.Opened)
        ask(("prepared",), prepare=v1.Prepare(slot=1, capability=v1.CAPABILITY_CHECK, rule=v1.Rule(params=to_value({"ignore": []}))))
        failed = ask(("check", "failed"), ask=v1.Ask(call=v1.Call(number=1), slot=1, input=to_values({"user": "ann"})))
        self.assertEqual(failed.kind, v1.Failed.KIND_UNAVAILABLE)

    def test_a_rule_that_it_cannot_serve_is_refused(self):
        self.write_list("bob")
        _, ask = self.open("check-revoked", {"file": "revoked.txt", "contact": "ops"})
        prepared = ask(("prepared",), prepare=v1.Prepare(slot=1, capability=v1.CAPABILITY_CHECK, rule=v1.Rule(params=to_value({"ignore": [""]}))))
        self.assertEqual(prepared.why, "ignore has an empty name")

    def test_a_team_is_looked_up_with_its_types_and_may_be_unknown(self):
        Path(self.folder.name, "teams.csv").write_text("ann,payments,2024-05-06\nbob,search,\n", encoding="utf-8")
        _, ask = self.open("enrich-teams", {"file": "teams.csv"})
        ask(("prepared",), prepare=v1.Prepare(slot=1, capability=v1.CAPABILITY_ENRICH, rule=v1.Rule(rule="r")))
        look_up = lambda number, user: ask(  # noqa: E731
            ("lookup", "failed"),
            ask=v1.Ask(call=v1.Call(number=number, remaining_ms=1000), slot=1, input=to_values({"user": user})),
        )
        ann = look_up(1, "ann")
        self.assertEqual(from_values(ann.output)["team"], "payments")
        self.assertEqual(from_values(ann.output)["since"].isoformat(), "2024-05-06T00:00:00+00:00")
        self.assertGreater(ann.valid_for_ms, 0)
        self.assertEqual(from_values(look_up(2, "bob").output), {"team": "search"})
        self.assertEqual(from_values(look_up(3, "eve").output), {})

    def test_reports_are_written_before_they_are_answered(self):
        _, ask = self.open("log-lines", {"path": "log.jsonl"})
        ask(("prepared",), prepare=v1.Prepare(slot=1, capability=v1.CAPABILITY_REPORT, rule=v1.Rule(rule="audit")))
        entries = [v1.Entry(slot=1, id=f"e{n}", time_ms=1000, input=to_values({"path": f"/{n}"})) for n in range(2)]
        entries.append(v1.Entry(slot=1, id="nan", input=to_values({"size": float("nan")})))
        failed = ask(("done", "failed"), write=v1.Write(call=v1.Call(number=1), entries=entries))
        self.assertEqual((failed.kind, list(failed.entries)), (v1.Failed.KIND_REJECTED, [2]))
        with open(os.path.join(self.folder.name, "log.jsonl"), encoding="utf-8") as lines:
            self.assertEqual(len(lines.readlines()), 2)


if __name__ == "__main__":
    unittest.main()
