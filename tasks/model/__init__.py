"""The network: checkpoints, devices, and one packed forward."""
