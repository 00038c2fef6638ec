"""Attention and heads that compute what a model computes, faster or in less memory: in PyTorch, with a version
for GPUs beside it where one exists. May import `models.precision`."""
