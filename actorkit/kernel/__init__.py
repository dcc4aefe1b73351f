"""What an actor is: cells, mailboxes, signals, and the dispatcher that runs them."""
