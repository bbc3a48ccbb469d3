"""The simulated city and the replayer of recordings: both speak to Markaz over MQTT alone."""
