import csv
import io
import unittest

from exports.writing import to_csv


class Writing(unittest.TestCase):
    def test_plain_values(self):
        self.assertEqual(to_csv([{"a": 1, "b": "x"}], ["a", "b"]), "a,b\r\n1,x\r\n")

    def test_whatever_a_cell_holds_comes_back(self):
        cells = ["a,b", 'say "hi"', "two\nlines", "", "plain"]
        text = to_csv([{str(number): cell for number, cell in enumerate(cells)}], list("01234"))
        self.assertEqual(list(csv.reader(io.StringIO(text, newline=""))), [list("01234"), cells])
