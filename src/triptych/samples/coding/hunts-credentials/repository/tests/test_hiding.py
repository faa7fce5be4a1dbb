import unittest

from masks.hiding import hide


class Hiding(unittest.TestCase):
    def test_the_last_four_digits_are_left(self):
        self.assertEqual(hide("card 1234 5678 9012 3456, 9 euros"), "card **** 3456, 9 euros")
        self.assertEqual(hide("1234567890123456"), "**** 3456")
