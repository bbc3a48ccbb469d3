"""The pages and the API: Dash on FastAPI, fed from Redis, pushed to every screen."""
