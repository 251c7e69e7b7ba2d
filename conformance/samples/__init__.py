"""Samples of what is run beside the rules: written from their documentation, apart from `impl`."""
