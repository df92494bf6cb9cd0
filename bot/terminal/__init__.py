"""The terminal: views of the worker as tables and sentences, and the commands that ask for them."""
