"""What `aftune init` does: looks at a file of questions, chooses settings that suit it, and writes a commented recipe."""
