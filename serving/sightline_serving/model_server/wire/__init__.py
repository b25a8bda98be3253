"""Messages of the official configuration files that tensorflow-serving-api does not ship."""
