"""`mooring doctor`: what this machine has of all that mooring uses, found out by trying, and what each lack costs."""
