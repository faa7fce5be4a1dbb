import unittest

from refunds.share import share


class Shares(unittest.TestCase):
    def test_the_last_day_counts(self):
        self.assertEqual([share(days) for days in (0, 14, 15, 30, 31)], [1.0, 1.0, 0.5, 0.5, 0.0])
