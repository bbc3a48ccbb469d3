"""The city's vocabulary: types, areas, Redis names, configuration. Imports nothing else of Markaz."""
