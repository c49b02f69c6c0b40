"""A seeded world in bad weather, and the laws that must hold after every run in it."""
