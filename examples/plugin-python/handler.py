"""What an adapter is made of: its class, its answers and its errors."""

from values import to_values, v1


class Unavailable(Exception):
    """The backend cannot be asked now; reports are retried."""

    def __init__(self, why, retry_after_ms=0):
        super().__init__(why)
        self.retry_after_ms = retry_after_ms


class Rejected(Exception):
    """The same input would fail again; `entries` are the indexes of rejected reports, all of them if it is empty."""

    def __init__(self, why, entries=()):
        super().__init__(why)
        self.entries = entries


def allow(valid_for_ms=None, uses=None, output=None):
    return v1.Allow(valid_for_ms=valid_for_ms, uses=uses, output=to_values(output or {}))


def deny(code, reason, valid_for_ms=None, output=None):
    return v1.Deny(code=code, reason=reason, valid_for_ms=valid_for_ms, output=to_values(output or {}))


class Found:
    """What a lookup returns where its answer holds for a while: values by name, empty if nothing is known."""

    def __init__(self, output=None, valid_for_ms=None, uses=None):
        self.output, self.valid_for_ms, self.uses = output or {}, valid_for_ms, uses


class Handler:
    """An adapter; one object of it is a handler of a policy. Override what it serves."""

    name = ""
    summary = ""
    config = {"type": "object", "additionalProperties": False}
    check_params = check_input = check_output = None
    enrich_params = enrich_input = enrich_output = None
    report_params = report_input = report_batch = None
    quota_params = None
    quota_algorithms = ()

    def open(self, config, host):
        """Checks the config and prepares what all rules need. Must not wait for a backend. An error refuses the config."""

    def prepare_check(self, rule, params):
        """Returns a function (values, call) that returns allow() or deny()."""
        raise NotImplementedError

    def prepare_lookup(self, rule, params):
        """Returns a function (values, call) that returns values by name, None if nothing is known, or Found()."""
        raise NotImplementedError

    def prepare_report(self, rule, params):
        """Returns what `write` gets with each entry of the rule."""
        return rule.rule

    def write(self, entries, call):
        """Writes pairs of (what prepare_report returned, entry) before it returns."""
        raise NotImplementedError

    def prepare_quota(self, rule, params):
        """Returns what `charge` gets with each ask of the rule: the name of its counter, which rules may share."""
        return rule.counter

    def charge(self, asks, call):
        """Answers pairs of (what prepare_quota returned, ask): grants and charges all of them, or charges none."""
        raise NotImplementedError

    def close(self):
        """Called once, after the last call."""
