"""What is known of every published law: equations, coefficients, ranges, as documents and as text."""
