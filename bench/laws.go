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

// kills has the program killed at 200 random moments, and run on disks that are too small.
func (b *bench) kills() error {
	const pattern = "TestKills|TestFullDisk"
	cmd := exec.CommandContext(b.ctx, "go", "test", "-v", "-count=1", "-timeout=60m", "-run", pattern, "./cmd/onnx-compress")
	cmd.Env = append(os.Environ(), "ONNX_COMPRESS_REQUIRE=1", "ONNX_COMPRESS_KILLS=200")
	text, err := cmd.CombinedOutput()
	b.printf("Each kill is of a run that writes another output over one that is there; afterwards the file is the old or the new one, whole, and the next run leaves nothing but its output in the folders. "+
		"So many again are of units of a work in parts and of merges: the file of each is not there or whole, and the next try makes the same bytes.\n\n"+
		"```\nONNX_COMPRESS_REQUIRE=1 ONNX_COMPRESS_KILLS=200 go test -v -count=1 -timeout=60m -run '%s' ./cmd/onnx-compress\n%s```\n", pattern, text)
	return err
}

// fuzzJobs is how many targets run side by side.
const fuzzJobs = "5"

// fuzz runs every fuzz target for ten minutes. One that fails ends the section with an error.
func (b *bench) fuzz() error {
	cmd := exec.CommandContext(b.ctx, "go", "run", "./scripts/fuzz", "-time", "10m", "-jobs", fuzzJobs)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	b.printf("Each target ten minutes with one worker, %s targets side by side.\n\n```\n%s\n%s```\n", fuzzJobs, strings.Join(cmd.Args, " "), text)
	return err
}
