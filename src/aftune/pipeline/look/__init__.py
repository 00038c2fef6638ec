"""Looking at runs that are there, from any terminal: how far they are, what is found below a folder, their groups and answers, and
what their models answer to a question of one's own. Nothing here changes a run."""
