"""A quota that counts in fixed windows, in the memory of the plugin: all hosts, and all workers of a host, share its counters."""

import threading
import time

from handler import Handler, Unavailable
from values import v1

Kind = v1.QuotaAsk


class Windows:
    """The counters of one handler's name. `used` by place, until the end of its window; keys of asks that were charged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.used = {}  # place: (used, ends at)
        self.once = {}  # (place, idempotency key): valid until

    def charge(self, asks, most):
        """Works out all answers, two asks of one counter added up; charges only if every ask is granted."""
        now = time.time() * 1000
        used, once, answers = {}, {}, []
        with self.lock:
            for counter, ask in asks:
                place = (counter, ask.key, ask.per_ms)
                ends = ask.ends_at_ms if ask.HasField("ends_at_ms") else (now // ask.per_ms + 1) * ask.per_ms
                before = used[place][0] if place in used else self.used_at(place, now)
                key = (place, ask.idempotency_key) if ask.HasField("idempotency_key") else None
                is_repeated = key is not None and (key in once or self.once.get(key, 0) > now)
                change, granted = (0, True) if is_repeated else change_of(ask, before)
                after = max(0, before + change) if granted else before
                used[place] = (after, ends)
                if key is not None and ask.kind == Kind.KIND_SPEND and not is_repeated:
                    once[key] = now + ask.per_ms
                answers.append(v1.QuotaAnswer(
                    granted=granted,
                    limit=ask.limit,
                    remaining=max(0, ask.limit - after),
                    reset_ms=max(1, ends - now),
                    charged=change if granted and ask.partial else None,
                ))
            if all(answer.granted for answer in answers):
                self.make_room(used, once, most, now)
                self.used.update(used)
                self.once.update(once)
        return answers

    def used_at(self, place, now):
        used, ends = self.used.get(place, (0, 0))
        return used if ends > now else 0

    def make_room(self, used, once, most, now):
        """Never a grant that is not counted: without room the call fails, and the rule's onError decides."""
        new = sum(place not in self.used for place in used) + len(once)
        if len(self.used) + len(self.once) + new <= most:
            return
        self.used = {place: kept for place, kept in self.used.items() if kept[1] > now}
        self.once = {key: until for key, until in self.once.items() if until > now}
        if len(self.used) + len(self.once) + new > most:
            raise Unavailable(f"all {most} counters are in use")


def change_of(ask, used):
    """What is charged, and whether it is granted."""
    left = ask.limit - used
    if ask.kind == Kind.KIND_SPEND:
        cost = min(ask.cost, left) if ask.partial and left >= 1 else ask.cost
        return cost, cost <= left
    if ask.kind == Kind.KIND_GIVE_BACK:
        return -ask.cost, True
    if ask.kind == Kind.KIND_OWE:
        return ask.cost, True
    return 0, left >= 0  # KIND_LOOK; KIND_RELEASE is of concurrency, which is not served


STORES = {}
STORES_LOCK = threading.Lock()


class FixedWindows(Handler):
    """quota-windows: counts in fixed windows."""

    name = "quota-windows"
    summary = "Counts in fixed windows, in the memory of the plugin."
    config = {
        "type": "object",
        "properties": {
            "counters": {"type": "integer", "minimum": 1, "default": 100_000, "description": "How many are kept at most."},
        },
        "additionalProperties": False,
    }
    quota_algorithms = ("fixed",)

    def open(self, config, host):
        """Streams of one handler share its counters, and find them again when they are opened anew."""
        self.most = config["counters"]
        with STORES_LOCK:
            self.windows = STORES.setdefault(host.handler, Windows())

    def charge(self, asks, call):
        return self.windows.charge(asks, self.most)
