"""Helpers that know nothing of aftune's subject: errors, seeds, progress, files and processes. May import no other room."""
