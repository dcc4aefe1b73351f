"""Files only the type checkers read, and the test that feeds them."""
