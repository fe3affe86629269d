"""Interleaving: two rankers in one slate, so that a user chooses between them and not the users between themselves."""
