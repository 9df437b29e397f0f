"""Routes of the REST API and the pages, a module for each resource."""
