"""The version of this program. It is written here only: the package, the command line, the server and the
messages between nodes say it, and the build reads it from this file."""

VERSION = "0.1.0"
