"""What a basket costs."""


def total_cents(basket):
    return sum(price for _, price in basket.lines)


def receipt(basket):
    rows = [f"{article:<12}{price / 100:>8.2f}" for article, price in basket.lines]
    return "\n".join([*rows, f"{'total':<12}{total_cents(basket) / 100:>8.2f}"])
