"""Attention and heads that compute what a model computes, faster or in less memory: in PyTorch, and where one exists a version
for GPUs beside it. May import the precision of `models`."""
