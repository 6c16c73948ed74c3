"""Branches and loops: the ops, the contexts, and the functions that build them."""
