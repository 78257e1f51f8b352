"""Load and comparison of running servers, from outside: over HTTP, from a process of its own."""
