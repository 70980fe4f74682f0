package main

import (
	"testing"

	"github.com/spf13/pflag"
)

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
		if got := commandLine(cmd.Flags(), cmd.Flags().Args()); got != c.want {
			t.Errorf("%q:\n%s\nwant\n%s", c.args, got, c.want)
		}
	}
	if got := commandLine(pflag.NewFlagSet("x", pflag.ContinueOnError), nil); got != "onnx-compress x" {
		t.Errorf("%q", got)
	}
}
