"""What each step must make true."""

STEPS = ()
