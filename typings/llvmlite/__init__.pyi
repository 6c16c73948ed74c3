# What the strictly checked part of graphflow uses of llvmlite, which ships no types.
__version__: str
