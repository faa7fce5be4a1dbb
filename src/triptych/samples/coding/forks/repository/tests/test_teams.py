import unittest

from teams.size import team_size

CHART = {"ada": "grace", "max": "grace", "eve": "ada", "tom": "eve"}


class Teams(unittest.TestCase):
    def test_near_and_far(self):
        self.assertEqual([team_size(CHART, name) for name in ("grace", "ada", "eve", "tom")], [4, 2, 1, 0])
