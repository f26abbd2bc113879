"""From a posterior and a scenario to a plan with its risk."""
