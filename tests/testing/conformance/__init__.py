"""The conformance kits, tested on what must fail them."""
