"""Is the posterior fit to be used?"""
