"""The centre's own readiness [ours]. It is no warning: it is proposed by the centre's rules and decided by its lead."""
