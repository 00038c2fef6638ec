"""The default engine: transformers models in this process. May import models."""
