"""MLM and NSP training: objective, network, trainer, checkpoints."""
