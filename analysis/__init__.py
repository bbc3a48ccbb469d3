"""Pure logic over the city's types: no input or output, no clock; time and state come in as arguments."""
