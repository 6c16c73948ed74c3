"""What runs a compiled program: JIT, caches, threads, buffers, executor, sessions."""
