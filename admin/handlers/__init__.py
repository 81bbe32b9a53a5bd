"""One coroutine per call of the API: from a checked call to the service and back."""
