"""Paragraph by paragraph: what the law asks, where it is done in this system, and the evidence that it is, from the records as they are."""
