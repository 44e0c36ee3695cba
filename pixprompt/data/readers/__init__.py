"""The forms in which data sets lie on a disk: few readers for many sets."""
