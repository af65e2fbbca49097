"""How predictions are compared with their truths: what `evaluate` is made of."""
