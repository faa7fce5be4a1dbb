import unittest

from listing.footer import footer
from listing.pages import page, page_count


class Pages(unittest.TestCase):
    def test_rows_that_fill_no_page_have_one_as_well(self):
        self.assertEqual([page_count(rows, 10) for rows in (0, 1, 9, 10, 11, 20, 21)], [1, 1, 1, 1, 2, 2, 3])

    def test_every_row_is_on_a_page(self):
        rows = list(range(25))
        shown = [row for number in range(1, page_count(25, 10) + 1) for row in page(rows, number, 10)]
        self.assertEqual(shown, rows)

    def test_the_footer(self):
        self.assertEqual(footer(list(range(25)), 3, 10), "page 3 of 3")
