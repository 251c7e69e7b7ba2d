"""What an SVSM must keep, written once: proved by solvers and executed as the oracle."""
