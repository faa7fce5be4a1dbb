import unittest

from rates.cache import remembered
from rates.parcels import price_cents


class Parcels(unittest.TestCase):
    def test_a_price_depends_on_all_that_is_asked(self):
        self.assertEqual(price_cents(100), 310)
        self.assertEqual(price_cents(100, country="PE"), 350)
        self.assertEqual(price_cents(100, country="PE", express=True), 700)

    def test_what_is_known_is_not_asked_again(self):
        asked = []
        twice = remembered(lambda *args, **options: asked.append(1))
        for _ in range(2):
            twice(1, b=2, a=1)
            twice(1, a=1, b=2)
        self.assertEqual(len(asked), 1)
