"""What the SVSM keeps about pages: the rules, their invariants and the algorithms under them."""
