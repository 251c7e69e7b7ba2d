"""The files in which a memory map comes, or that say where it is to go: readers and writers.

Whatever a file holds, a reader ends in a reading or in a `FormatError` of one line; it reads no
more of the file than its headers, so that neither its time nor its memory grows with the file.
"""
