"""Processes that bring the field's messages into the store."""
