import unittest

from prices.parsing import parse


class Parsing(unittest.TestCase):
    def test_prices(self):
        texts = ["$12.50", "€ 3", "£0.05", "$7.5"]
        self.assertEqual([parse(text) for text in texts], [("USD", 1250), ("EUR", 300), ("GBP", 5), ("USD", 750)])
