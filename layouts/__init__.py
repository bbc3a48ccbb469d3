"""Pages and their parts. Nothing here reads data: what is shown comes in as arguments or over the push."""
