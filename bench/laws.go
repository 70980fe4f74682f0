//go:build unix

package main

import (
	"os"
	"os/exec"
	"strings"
)

// laws runs the tests that hold what no single figure shows: full-rank rewriting
// against the dense nodes and ONNX's stored outputs to 1e-4, and every model file
// of the onnx package read and written unchanged.
func (b *bench) laws() error {
	for _, args := range [][]string{{"test", "-count=1", "./rewrite"}, {"test", "-count=1", "./onnxio"}} {
		cmd := exec.CommandContext(b.ctx, "go", args...)
		cmd.Env = append(os.Environ(), "ONNX_COMPRESS_REQUIRE=1")
		text, err := cmd.CombinedOutput()
		b.printf("```\nONNX_COMPRESS_REQUIRE=1 go %s\n%s```\n\n", strings.Join(args, " "), text)
		if err != nil {
			return err
		}
	}
	return nil
}
