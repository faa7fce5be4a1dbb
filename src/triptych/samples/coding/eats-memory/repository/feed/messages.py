"""One message."""


class Message:
    def __init__(self, number, text):
        self.number = number
        self.text = text
