"""Python code of a model in a process that can read few files, write to one folder and reach nothing else."""
