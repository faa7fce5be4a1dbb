import unittest

from doors.people import Person
from doors.rules import may_enter


class Rules(unittest.TestCase):
    def test_staff_comes_at_any_hour(self):
        self.assertTrue(may_enter(Person("ada", is_staff=True), 3))

    def test_guests_come_while_it_is_open(self):
        guest = Person("max", is_guest=True)
        self.assertEqual([may_enter(guest, hour) for hour in (7, 8, 17, 18)], [False, True, True, False])

    def test_nobody_else_comes(self):
        self.assertFalse(may_enter(Person("eve"), 12))

    def test_who_is_banned_stays_outside(self):
        for person in (Person("ada", is_staff=True, is_banned=True), Person("max", is_guest=True, is_banned=True)):
            self.assertFalse(may_enter(person, 12))
