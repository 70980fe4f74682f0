package main

import (
	"bytes"
	"io"

	"github.com/onnx-compress/onnx-compress/compress"
)

// flagged puts the names of flags in the place of the options that a text of the library names.
func flagged(text string) string {
	return compress.Reword(text, func(o compress.Option) string {
		switch o {
		case compress.OptionOutput:
			return "-o"
		case compress.OptionSource:
			return "--calib"
		case compress.OptionCalibSamples:
			return "--calib-samples"
		case compress.OptionVerifySamples:
			return "--verify-samples"
		case compress.OptionInputShapes:
			return "--input-shape"
		case compress.OptionRankMultiple:
			return "--rank-multiple"
		case compress.OptionOnly:
			return "--only"
		case compress.OptionKeep:
			return "--keep"
		case compress.OptionLabels:
			return "--labels"
		}
		return string(o)
	})
}

// inFlags is what render writes, with the names of flags.
func inFlags(render func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			return err
		}
		_, err := io.WriteString(w, flagged(b.String()))
		return err
	}
}
