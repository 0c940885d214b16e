"""Pages to look at: report.html of an evaluation, preview.html of data. Each is one file that needs no network."""
