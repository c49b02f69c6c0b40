"""What each page knows: a pure answer in the shape of its JSON, the rows of its CSV, and the view that a template writes."""
