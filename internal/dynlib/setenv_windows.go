package dynlib

import "os"

// Setenv sets a variable in the environment that shared libraries see, which on Windows is the process's. It is for
// before a library is loaded.
func Setenv(name, value string) error { return os.Setenv(name, value) }
