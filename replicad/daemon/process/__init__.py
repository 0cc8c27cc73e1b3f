"""The daemon as a process: event loop, signals, logs, the service manager, the directory it lives in."""
