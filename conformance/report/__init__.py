"""Reports for people and for other tools, made of the results that were written as JSON.

Nothing is judged here: a verdict is computed from the figures as the run itself computes it, and
what is not a pass there is none here. Everything in a file of results is somebody's text, and
never becomes markup.
"""
