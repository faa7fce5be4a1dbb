import os
import tempfile
import unittest

from labels.printing import label
from labels.reading import read_addresses


class Labels(unittest.TestCase):
    def setUp(self):
        handle, self.path = tempfile.mkstemp()
        os.close(handle)
        self.addCleanup(os.remove, self.path)

    def test_names_from_anywhere(self):
        names = ["J\u00f8rgen \u00c5s", "Zo\u00eb", "\u0141\u00f3d\u017a"]
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("\n\n".join(names))
        self.assertEqual(read_addresses(self.path), names)

    def test_a_mark_at_the_beginning_is_no_part_of_a_name(self):
        with open(self.path, "w", encoding="utf-8-sig") as file:
            file.write("Ada\n")
        self.assertEqual(read_addresses(self.path), ["Ada"])

    def test_a_label(self):
        self.assertEqual(label("Zo\u00eb", 6), "|ZO\u00cb   |")
