import unittest

from lots.packing import pack


class Packing(unittest.TestCase):
    def test_the_heaviest_first(self):
        self.assertEqual(pack([1, 5, 4, 2], 6), [[5, 1], [4, 2]])

    def test_what_is_too_heavy_is_left_out(self):
        self.assertEqual(pack([9, 3], 6), [[3]])
