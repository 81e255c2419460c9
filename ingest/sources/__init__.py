"""Where lines come in: syslog over UDP, TCP and TLS, HTTP, files, the demo feed."""
