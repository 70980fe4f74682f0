package ort

import (
	"context"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// Runtime is a Library to those who pass it on: what they see of it needs nothing else of this package.
type Runtime interface {
	// Version is the library's own, such as "1.32.0", and Path the file that it was loaded from.
	Version() string
	Path() string
	OutputTypes(model []byte, folder string) (map[string]tensor.Type, error)
	RunOnce(ctx context.Context, model []byte, folder string, inputs map[string]tensor.Dense, outputs []string) ([]tensor.Dense, error)
	Close()

	library() *Library
}

func (l *Library) library() *Library { return l }

// Of returns the library that a runtime is.
func Of(r Runtime) *Library { return r.library() }
