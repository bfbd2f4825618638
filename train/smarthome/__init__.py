"""Smart-home events: raw files → windows of five variates, captions and labels → records that Grain reads."""
