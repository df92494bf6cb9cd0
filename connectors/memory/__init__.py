"""The reference connector: a pretend vendor in RAM that passes the same contract as the real ones."""
