"""A divergence as a test of one's own: text in Rust, C or Python with plain numbers in it.

What is expected is derived from the rules when the text is made. Nothing of a trace but numbers,
and names that the rules know, is put into code; who made it and on what stands in a comment.
"""
