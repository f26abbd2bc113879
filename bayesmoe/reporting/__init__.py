"""What people see: one page, and all its words."""
