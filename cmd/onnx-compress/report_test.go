package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestSlowerIsSaid: the first line says that a result is slower, which nobody asked about; where nothing is to be said, nothing is.
func TestSlowerIsSaid(t *testing.T) {
	t.Setenv(provision.ONNXRuntime.Env(), provisiontest.Need(t, provision.ONNXRuntime))
	t.Chdir(t.TempDir()) // where there is no configuration
	b := testmodels.NewBuilder(3, 17, 8)
	x := b.Input("x", tensor.Float32, 1, 16, 32, 32)
	for range 4 {
		x = b.Node("Relu", []string{b.Conv(x, 16, 16, []int{3, 3}, graph.Ints("pads", 1, 1, 1, 1))})
	}
	b.Output(x, tensor.Float32, 1, 16, 32, 32)
	model := testkit.Save(t, testkit.Built(t, b))
	for _, quiet := range []bool{false, true} {
		// Windows of single channels, at ranks that fill no block: two to three times slower.
		args := []string{model, "-o", filepath.Join(t.TempDir(), "small.onnx"), "--methods", "cp", "--rank-multiple", "1", "--target", "macs=0.9", "--accept-damage"}
		if quiet {
			args = append(args, "-q")
		}
		var out, errs bytes.Buffer
		if code := run(args, streams{out: &out, err: &errs}); code != exitDone || errs.Len() > 0 {
			t.Fatalf("code %d, %s", code, errs.String())
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		if quiet && out.Len() > 0 || !quiet && !(strings.Contains(first, "SLOWER than the original") && strings.Contains(first, "--keep") && strings.Contains(out.String(), "timed in ONNX Runtime")) {
			t.Errorf("quiet %v: %s", quiet, out.String())
		}
	}
}

// TestCommandLine: what a run was asked for, in words that a shell takes.
func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir()) // where there is no configuration
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"net.onnx", "-o", "small.onnx", "--target", "macs=0.5"}, "onnx-compress compress net.onnx --output=small.onnx --target=macs=0.5"},
		{[]string{"a b.onnx", "-q", "--keep", "it's", "--keep", "*"}, `onnx-compress compress 'a b.onnx' --keep='it'\''s' --keep='*' --quiet`},
		{[]string{"net.onnx", "--json", "--methods", "svd,cp", "--seed", "3", "--no-config"}, "onnx-compress compress net.onnx --methods=svd,cp --seed=3 --json --no-config"},
		{[]string{"net.onnx", "--json=x.json", "--no-refit=false", "--calib", ""}, "onnx-compress compress net.onnx --calib='' --no-refit=false --json=x.json"},
	} {
		cmd := newCompress(streams{})
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		if got := commandLine("onnx-compress "+cmd.Name(), cmd.Flags(), cmd.Flags().Args()); got != c.want {
			t.Errorf("%q:\n%s\nwant\n%s", c.args, got, c.want)
		}
	}
	if got := commandLine("onnx-compress x", pflag.NewFlagSet("x", pflag.ContinueOnError), nil); got != "onnx-compress x" {
		t.Errorf("%q", got)
	}
}
