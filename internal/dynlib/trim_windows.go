package dynlib

// Trim does nothing here.
func Trim() {}
