//go:build unix

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
)

// TestPipes: what is to be read is not waited for where it is a pipe that nobody writes to.
func TestPipes(t *testing.T) {
	t.Setenv(provision.ONNXRuntime.Env(), provisiontest.Need(t, provision.ONNXRuntime))
	model := testkit.Save(t, testkit.Zoo(t, "gemm_plain"))
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	data, out := filepath.Join(folder, "x.npy"), filepath.Join(folder, "out.onnx")
	holes(t, data, npyHead(8, 7), 8*7*4+128)
	for _, args := range [][]string{
		{"inspect", pipe},
		{pipe, "-o", out, "--target", "macs=0.5"},
		{"verify", pipe, model},
		{"verify", model, pipe},
		{"tune", pipe, model, "-o", out, "--data", data},
		{"tune", model, pipe, "-o", out, "--data", data},
		{"explore", pipe},
		{"status", pipe},
		{"check", pipe},
		{"convert", pipe, "--target", "macs=0.5"},
		{"report", pipe, "-o", filepath.Join(folder, "r.html")},
		{"config", "--config", pipe},
		{"inspect", model, "--config", pipe},
		{"inspect", model, "--spectra", "--calib", pipe},
		{"inspect", model, "--spectra", "--ort", pipe},
		{model, "-o", out, "--from-plan", pipe},
		{"status", model, "--from-plan", pipe},
		{model, "-o", out, "--target", "macs=0.5", "--calib", pipe},
		{model, "-o", out, "--target", "macs=0.5", "--calib", data, "--labels", pipe},
		{model, "-o", out, "--target", "macs=0.5", "--calib", data, "--stats", pipe},
		{model, "-o", out, "--target", "macs=0.5", "--calib", data, "--tune", "--tune-data", pipe},
		{model, "-o", out, "--target", "macs=0.5", "--calib", data, "--ort", pipe},
		{"tune", model, model, "-o", out, "--data", pipe},
		{"tune", model, model, "-o", out, "--data", data, "--checkpoint", pipe, "--resume"},
		{"verify", model, model, "--data", pipe},
		{model, "-o", pipe, "--target", "macs=0.5", "--force"},
	} {
		name := strings.Join(args, " ")
		var said bytes.Buffer
		ended := make(chan int, 1)
		go func() { ended <- run(args, streams{out: &said, err: &said}) }()
		select {
		case code := <-ended:
			if text := said.String(); code == 0 || !strings.Contains(text, pipe) {
				t.Errorf("%s: exit code %d\n%s", name, code, text)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it waits", name)
		}
	}
}
