"""From a plan to a decision: the recommended design, its risk and cost, and what would change it."""
