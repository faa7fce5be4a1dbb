"""Who asks."""


class Person:
    def __init__(self, name, is_staff=False, is_guest=False, is_banned=False):
        self.name = name
        self.is_staff = is_staff
        self.is_guest = is_guest
        self.is_banned = is_banned
