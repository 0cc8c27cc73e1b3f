"""What two nodes decide about each other: pure functions over plain values, without any I/O."""
