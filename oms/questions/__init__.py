"""What every read command asks: one answer each, ready for JSON, the same in the terminal, the API and the pages."""
