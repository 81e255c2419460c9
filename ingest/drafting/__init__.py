"""A parser's first draft from some of a product's lines, for a person to finish.

`shapes` finds how the lines are written and where each value stands, `meaning` which column a key or value is likely to be, `draft` writes
the YAML. A draft always loads and compiles; what it says about meaning is a guess, and each guess shows the value it was made from.
"""
