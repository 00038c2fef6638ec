"""Helpers that know nothing of aftune's subject: errors, seeds, progress, files and processes. Imports no other part of aftune."""
