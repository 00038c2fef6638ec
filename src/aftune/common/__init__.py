"""What knows nothing of aftune's subject: errors, seeds, progress, files and processes. Imports nothing else of aftune."""
