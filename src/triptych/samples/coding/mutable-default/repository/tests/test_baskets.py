import unittest

from shop.basket import Basket
from shop.till import receipt, total_cents


class Baskets(unittest.TestCase):
    def test_customers_do_not_pay_for_each_other(self):
        ada, grace = Basket("ada"), Basket("grace")
        ada.add("kettle", 2990)
        self.assertEqual(total_cents(ada), 2990)
        self.assertEqual(total_cents(grace), 0)

    def test_a_receipt(self):
        basket = Basket("ada", [("tea", 450)])
        self.assertEqual(receipt(basket).split(), ["tea", "4.50", "total", "4.50"])

    def test_what_is_handed_in_stays_as_it_is(self):
        lines = [("tea", 450)]
        Basket("ada", lines).add("mug", 900)
        self.assertEqual(lines, [("tea", 450)])
