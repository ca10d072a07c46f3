"""The counters of windows.py."""

import unittest

from handler import Unavailable
from values import v1
from windows import Kind, Windows

HOUR_MS = 3_600_000


def ask(kind=Kind.KIND_SPEND, cost=1, limit=3, key="ann", **more):
    return "c", v1.QuotaAsk(kind=kind, key=key, limit=limit, burst=limit, per_ms=HOUR_MS, cost=cost, **more)


class WindowsTest(unittest.TestCase):
    def setUp(self):
        self.windows = Windows()

    def charge(self, *asks, most=100):
        return [(one.granted, one.remaining) for one in self.windows.charge(asks, most)]

    def test_it_grants_up_to_the_limit(self):
        self.assertEqual([self.charge(ask())[0] for _ in range(4)], [(True, 2), (True, 1), (True, 0), (False, 0)])
        self.assertEqual(self.charge(ask(key="bob")), [(True, 2)])

    def test_all_asks_of_a_call_are_charged_or_none(self):
        self.assertEqual(self.charge(ask(cost=2), ask(cost=2)), [(True, 1), (False, 1)])
        self.assertEqual(self.charge(ask(Kind.KIND_LOOK, cost=0)), [(True, 3)])
        self.assertEqual(self.charge(ask(cost=2), ask(cost=1)), [(True, 1), (True, 0)])

    def test_a_debt_is_charged_beyond_the_limit_and_a_part_is_given_back(self):
        self.assertEqual(self.charge(ask(Kind.KIND_OWE, cost=5)), [(True, 0)])
        self.assertEqual(self.charge(ask(Kind.KIND_LOOK, cost=0)), [(False, 0)])
        self.assertEqual(self.charge(ask(Kind.KIND_GIVE_BACK, cost=4)), [(True, 2)])

    def test_what_is_left_is_charged_in_part(self):
        self.charge(ask(cost=2))
        (answer,) = self.windows.charge([ask(cost=5, partial=True)], 100)
        self.assertEqual((answer.granted, answer.charged, answer.remaining), (True, 1, 0))
        self.assertEqual(self.charge(ask(cost=5, partial=True)), [(False, 0)])

    def test_a_repeated_key_is_charged_once(self):
        self.assertEqual([self.charge(ask(idempotency_key="a"))[0] for _ in range(5)], [(True, 2)] * 5)

    def test_a_window_that_has_ended_is_empty(self):
        self.charge(ask(cost=3, ends_at_ms=1))
        self.assertEqual(self.charge(ask()), [(True, 2)])

    def test_without_room_it_fails_and_does_not_grant(self):
        self.charge(ask(key="a"), most=2)
        self.charge(ask(key="b"), most=2)
        with self.assertRaises(Unavailable):
            self.charge(ask(key="c"), most=2)
        self.assertEqual(self.charge(ask(key="a"), most=2), [(True, 1)])


if __name__ == "__main__":
    unittest.main()
