"""Questions as Ibis expressions, the same for every engine. Pure: an expression is built, nothing is asked."""
