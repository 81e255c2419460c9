"""The routes of the API, one module per subject. A route validates, asks one service, and shapes the answer."""
