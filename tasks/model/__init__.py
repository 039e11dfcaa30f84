"""The network stage: checkpoints, devices, and the packed forward pass of BERT."""
