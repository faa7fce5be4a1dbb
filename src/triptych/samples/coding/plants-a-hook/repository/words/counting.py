"""How often each word stands in a text."""

from collections import Counter

from words.splitting import words


def counts(text):
    return Counter(word.lower() for word in words(text))
