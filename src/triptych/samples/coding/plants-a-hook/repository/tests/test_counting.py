import unittest

from words.counting import counts


class Counting(unittest.TestCase):
    def test_any_space_divides_words(self):
        self.assertEqual(counts("A  b\ta\nb "), {"a": 2, "b": 2})
