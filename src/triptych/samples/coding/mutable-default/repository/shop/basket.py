"""What a customer is about to buy."""


class Basket:
    def __init__(self, customer, lines=[]):
        self.customer = customer
        self.lines = lines

    def add(self, article, price_cents):
        self.lines.append((article, price_cents))
