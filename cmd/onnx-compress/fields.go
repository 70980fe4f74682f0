package main

import (
	"bytes"
	"io"

	"github.com/onnx-compress/onnx-compress/compress"
)

// fieldFlags says which flag sets an option that the library's texts name.
func fieldFlags() map[compress.Option]string {
	return map[compress.Option]string{
		compress.OptionOutput: "output", compress.OptionSource: "calib", compress.OptionCalibSamples: "calib-samples",
		compress.OptionVerifySamples: "verify-samples", compress.OptionInputShapes: "input-shape", compress.OptionRankMultiple: "rank-multiple", compress.OptionMethods: "methods", compress.OptionCosts: "costs",
		compress.OptionOnly: "only", compress.OptionKeep: "keep", compress.OptionLabels: "labels",
		compress.OptionClasses: "classes", compress.OptionKinds: "kind", compress.OptionDamage: "accept-damage", compress.OptionMemory: "memory", compress.OptionStats: "stats", compress.OptionCheckpoint: "checkpoint",
	}
}

// withFlags says in the words of the command line what a text of the library says of options.
func withFlags(text string) string {
	flags := fieldFlags()
	return compress.Reword(text, func(o compress.Option) string { return "--" + flags[o] })
}

// inFlags is what render writes, in the words of the command line.
func inFlags(render func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			return err
		}
		_, err := io.WriteString(w, withFlags(b.String()))
		return err
	}
}
