"""The training stage: MLM and NSP, from prepared text to checkpoints."""
