"""Facts about a user, looked up in a file: `user,team,since` a line, read again when it changes."""

import csv
import datetime
import os
import threading

from handler import Found, Handler, Unavailable

LOOK_EVERY_S = 0.5


class Teams(Handler):
    """enrich-teams: the team of a user."""

    name = "enrich-teams"
    summary = "Looks up the team of a user in a file."
    config = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "minLength": 1, "description": "A CSV file: user,team,since; relative to the policy."},
        },
        "required": ["file"],
        "additionalProperties": False,
    }
    enrich_input = {"user": "string"}
    enrich_output = {"team": "string", "since": "timestamp?"}

    def open(self, config, host):
        """A file that cannot be read is a handler that is not ready, not a config that is wrong."""
        self.host = host
        self.file = os.path.join(host.folder, config["file"])
        self.teams = self.stamp = None
        self.closing = threading.Event()
        self.read()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()

    def prepare_lookup(self, rule, params):
        def look_up(values, call):
            teams = self.teams
            if teams is None:
                raise Unavailable(f"{self.file} cannot be read", retry_after_ms=1000 * LOOK_EVERY_S)
            # That nothing is known is an answer, too: the attributes are absent. Both hold until the file may have changed.
            return Found(teams.get(values["user"]), valid_for_ms=1000 * LOOK_EVERY_S)

        return look_up

    def close(self):
        self.closing.set()
        self.watcher.join()

    def watch(self):
        while not self.closing.wait(LOOK_EVERY_S):
            self.read()

    def read(self):
        try:
            stamp = os.stat(self.file).st_mtime_ns
            if stamp == self.stamp:
                return
            with open(self.file, encoding="utf-8", newline="") as lines:
                teams = {row[0]: team_of(row) for row in csv.reader(lines) if row}
        except (OSError, ValueError, IndexError) as error:
            if self.teams is None:
                self.host.ready(False, f"{self.file}: {error}")
            elif stamp_of(self.file) != self.stamp:
                self.host.log("warn", "the teams cannot be read; the last ones stay", why=str(error))
            return
        self.teams, self.stamp = teams, stamp
        self.host.ready(True)


def team_of(row):
    """A value that is None is absent."""
    since = datetime.datetime.fromisoformat(row[2]).replace(tzinfo=datetime.timezone.utc) if len(row) > 2 and row[2] else None
    return {"team": row[1], "since": since}


def stamp_of(file):
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return None
