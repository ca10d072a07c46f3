"""Adapters for Sluice, in a process of their own: a check by a list of revoked users, a report to a file, the quota of windows.py, and the
lookup of teams.py.

The list is a file with a user a line, which may change at any time. The reference is protos/sluice/plugin/v1/plugin.proto; the part that
every plugin needs is in serve.py, handler.py and values.py.
"""

import json
import os
import threading
import time

from handler import Handler, Rejected, Unavailable, allow, deny
from serve import serve
from teams import Teams
from windows import FixedWindows

PERMISSION_DENIED = 7
RELOAD_EVERY_S = 0.5


class Revoked(Handler):
    """check-revoked: refuses the users on the list."""

    name = "check-revoked"
    summary = "Refuses users whose access was revoked."
    config = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "minLength": 1, "description": "A file with a user a line; relative to the policy."},
            "contact": {"type": "string", "default": "security", "description": "Who is named in a refusal."},
            "token": {"type": "string", "secret": True, "description": "Never logged; shows that secrets arrive."},
        },
        "required": ["file"],
        "additionalProperties": False,
    }
    check_params = {
        "type": "object",
        "properties": {
            "ignore": {"type": "array", "items": {"type": "string"}, "default": [], "description": "Users who always pass."},
        },
        "additionalProperties": False,
    }
    check_input = {"user": "string", "at": "timestamp?"}
    check_output = {"contact": "string"}

    def open(self, config, host):
        """Checks the config. A list that cannot be read is a handler that is not ready, not a config that is wrong."""
        self.host = host
        self.contact = config["contact"]
        self.file = os.path.join(host.folder, config["file"])
        self.users = None
        self.stamp = None
        self.closing = threading.Event()
        self.reloads = host.counter("revoked_reloads", "How often the list was read.")
        self.reload()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def prepare_check(self, rule, params):
        """Once for each rule; what it returns is called for each request. An error here refuses the policy."""
        ignore = frozenset(params["ignore"])
        if "" in ignore:
            raise ValueError("ignore has an empty name")

        def check(values, call):
            user = values["user"]
            users = self.users
            if users is None:
                raise Unavailable(f"{self.file} cannot be read", retry_after_ms=1000 * RELOAD_EVERY_S)
            if user in ignore or user not in users:
                return allow(valid_for_ms=0)
            return deny(PERMISSION_DENIED, f"{user} is revoked", output={"contact": self.contact})

        return check

    def close(self):
        self.closing.set()
        self.watcher.join()

    def watch(self):
        while not self.closing.wait(RELOAD_EVERY_S):
            self.reload()

    def reload(self):
        try:
            stamp = os.stat(self.file).st_mtime_ns
            if stamp == self.stamp:
                return
            with open(self.file, encoding="utf-8") as lines:
                users = frozenset(line.strip() for line in lines if line.strip())
        except OSError as error:
            if self.users is None:
                self.host.ready(False, f"{self.file}: {error.strerror}")
            else:
                self.host.log("warn", "the list cannot be read; the last one stays", why=str(error))
            return
        self.users, self.stamp = users, stamp
        self.reloads.add(1)
        self.host.ready(True)
        self.host.log("info", "the list is read", users=len(users))


class LinesInAFile(Handler):
    """log-lines: writes each report as a line of JSON."""

    name = "log-lines"
    summary = "Appends reports to a file, as lines of JSON."
    config = {
        "type": "object",
        "properties": {"path": {"type": "string", "minLength": 1, "description": "The file, relative to the policy."}},
        "required": ["path"],
        "additionalProperties": False,
    }
    report_input = "any"
    report_batch = {"max": 500, "max_age_ms": 200}

    def open(self, config, host):
        self.path = os.path.join(host.folder, config["path"])

    def prepare_report(self, rule, params):
        return rule.rule

    def write(self, entries, call):
        """All entries or none: an entry that would fail each time is named by Rejected, an unavailable file is Unavailable."""
        lines = []
        bad = []
        for index, (rule, entry) in enumerate(entries):
            try:
                line = {"rule": rule, "id": entry.id, "time": entry.time_ms / 1000, **entry.values}
                lines.append(json.dumps(line, default=str, allow_nan=False) + "\n")
            except ValueError:
                bad.append(index)
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            raise Unavailable(f"{self.path}: {error.strerror}", retry_after_ms=500) from error
        if bad:
            raise Rejected("a number that JSON does not have", entries=bad)


if __name__ == "__main__":
    serve([Revoked, LinesInAFile, FixedWindows, Teams], software="plugin-python 1.0")
