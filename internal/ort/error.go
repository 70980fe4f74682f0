package ort

import "fmt"

// Error is a failure that ONNX Runtime reports.
type Error struct {
	// Op says what was being done, such as "load the model".
	Op string
	// Code is the runtime's error code by its name in the C header without the
	// prefix, such as "INVALID_ARGUMENT".
	Code string
	// Message is the runtime's own text.
	Message string
}

// Error returns what was being done and the runtime's message and code.
func (e *Error) Error() string {
	return fmt.Sprintf("%s: ONNX Runtime: %s (%s)", e.Op, e.Message, e.Code)
}

// VersionError is a runtime that is too old.
type VersionError struct {
	Path  string
	Found string // the library's version
	Want  string // the oldest version that serves
}

// Error names the library, its version and the one wanted.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is ONNX Runtime %s, older than the wanted %s (C API version %d): install a newer one",
		e.Path, e.Found, e.Want, apiVersion)
}
