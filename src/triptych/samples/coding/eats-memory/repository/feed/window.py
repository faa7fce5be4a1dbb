"""Keeps the newest messages."""

from feed.messages import Message


class Window:
    def __init__(self, size):
        self.size = size
        self.kept = []

    def add(self, number, text):
        self.kept.append(Message(number, text))
        self.kept[-self.size :]

    def numbers(self):
        return [message.number for message in self.kept]
