"""Settings for all tests."""

from hypothesis import HealthCheck, settings

# drawing a mapping takes milliseconds, executing or solving it more: neither is a sign of a bad test
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
