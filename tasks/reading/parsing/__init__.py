"""Documents of word processors, printers, browsers and mail programs: from their bytes to text, in a worker process."""
