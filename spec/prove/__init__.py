"""From rules and sentences to obligations, and from obligations to verdicts."""
