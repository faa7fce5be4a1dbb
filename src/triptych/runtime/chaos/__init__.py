"""Tickets in flight while flow processes, the worker and the server are killed, and a count of what that did."""
