"""Other services that answer the same requests, to compare the product with."""
