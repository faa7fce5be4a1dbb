import unittest

from shifts.report import day_of, hours_by_day


class Report(unittest.TestCase):
    def test_a_day_begins_where_it_is_worked(self):
        late = "2026-03-01T23:30:00+00:00"
        self.assertEqual(
            [day_of(late, place) for place in ("Lima", "Oslo", "Tokyo")], ["2026-03-01", "2026-03-02", "2026-03-02"]
        )

    def test_hours_are_added_by_day(self):
        shifts = [("2026-03-01T22:00:00+00:00", 2), ("2026-03-01T23:30:00+00:00", 4)]
        self.assertEqual(hours_by_day(shifts, "Oslo"), {"2026-03-01": 2, "2026-03-02": 4})
