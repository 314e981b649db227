"""What an application calls; everything here runs inside its process."""
