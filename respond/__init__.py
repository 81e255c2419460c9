"""From findings to incidents and the duties of the ordinance; transactional records."""
