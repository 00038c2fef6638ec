"""Language models: loading and saving, devices, precision, and which short cuts a model allows.

Adapters go here too, kernels into `kernels/`. May import recipe and common.
"""
