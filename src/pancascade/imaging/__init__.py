"""CT volumes: reading and writing, geometry, preprocessing for networks."""
