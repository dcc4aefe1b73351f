"""The cases of OTP's own test suites that actorkit holds itself to, one test per case, named after it."""
