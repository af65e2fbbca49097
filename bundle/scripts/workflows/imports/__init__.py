"""Task files of other programs: what `import-task` is made of."""
