import unittest

from feed.window import Window


class Windows(unittest.TestCase):
    def test_the_newest_are_kept(self):
        window = Window(3)
        for number in range(10):
            window.add(number, "x")
        self.assertEqual(window.numbers(), [7, 8, 9])

    def test_fewer_than_there_is_room_for(self):
        window = Window(3)
        window.add(1, "x")
        self.assertEqual(window.numbers(), [1])
