"""Language models: loading and saving, devices, precision, and which shortcuts a model allows.

Adapters belong here too, kernels in `kernels/`. May import recipe and common.
"""
