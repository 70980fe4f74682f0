package compress

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestZoo compresses every model of the zoo, without data, with second moments, and with
// everything that calibration has, by svd and one other method in turn. What the runtime can execute is verified there and gives
// finite numbers, and the onnx package accepts every file with its types and shapes.
func TestZoo(t *testing.T) {
	needRuntime(t)
	folder := t.TempDir()
	var files []string
	methods, turn := decomp.Methods(), 0
	for _, c := range testmodels.All() {
		m := zoo(t, c.Name)
		for _, mode := range []string{"data-free", "moments", "all"} {
			for _, target := range []Target{share(MACs, 0.75), share(Params, 0.6)} {
				turn++
				o := RunOptions{Output: filepath.Join(folder, fmt.Sprintf("%s %s %s.onnx", c.Name, mode, target.Resource)), Options: Options{
					Methods: []string{"svd", methods[turn%len(methods)].Name},
					Targets: []Target{target}, InputShapes: sizes(m), NoRefit: mode == "moments", Probes: -1, AcceptDamage: true,
				}}
				if mode != "data-free" {
					if !c.Runs {
						continue // calibration needs to run it
					}
					o.Source = whole(t, m, 6)
				}
				if mode == "all" {
					o.Probes = 1
				}
				r, err := reachable(in(t), m, o)
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(o.Output), err)
					continue
				}
				files = append(files, o.Output)
				checkRun(t, filepath.Base(o.Output), r, c.Runs, o.Source != nil)
			}
		}
	}
	check(t, files)
}

// reachable compresses a model to the target, or where that cannot be met, because there
// is nothing to gain in the model, or not enough, to what the refusal says can be.
func reachable(env *Environment, m *onnxio.Model, o RunOptions) (*Result, error) {
	r, err := Run(context.Background(), env, m, o)
	unmet := (*UnmetError)(nil)
	if !errors.As(err, &unmet) {
		return r, err
	}
	if unmet.Original == 0 { // nothing can be counted
		o.Targets = []Target{share(Params, 1)}
		return Run(context.Background(), env, m, o)
	}
	if unmet.Reachable <= unmet.Limit {
		return nil, fmt.Errorf("refused without need: %w", err)
	}
	o.Targets = []Target{{Resource: o.Targets[0].Resource, Value: unmet.Reachable}}
	return Run(context.Background(), env, m, o)
}

// checkRun looks at what a run says of its verification.
func checkRun(t *testing.T, name string, r *Result, runs, data bool) {
	t.Helper()
	if (r.Verification != nil) != runs || (r.Calibration != nil) != data {
		t.Errorf("%s: verification %+v (%s), calibration %+v", name, r.Verification, r.Unverified, r.Calibration)
		return
	}
	if !runs {
		return
	}
	for _, v := range r.Verification.Outputs {
		if v.Values == 0 || v.NonFiniteCompressed+v.NonFiniteOriginal > 0 {
			t.Errorf("%s: output %s: %+v", name, v.Name, v)
		}
	}
}

// check asks the onnx package about all files.
func check(t *testing.T, files []string) {
	t.Helper()
	const code = `
import sys, onnx
for f in sys.argv[1:]:
    try:
        onnx.checker.check_model(f, full_check=True)
    except Exception as e:
        print(f, e)
`
	if len(files) < 150 {
		t.Errorf("only %d files", len(files))
	}
	out, err := exec.Command(provisiontest.Python(t, "onnx"), append([]string{"-c", code}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("onnx rejects what was written (%v):\n%s", err, out)
	}
}

// whole draws ready-made inputs for any model.
func whole(t *testing.T, m *onnxio.Model, n int) memory {
	t.Helper()
	var src memory
	for i := range n {
		feeds, err := testmodels.Feeds(m, uint64(i), nil, 5)
		if err != nil {
			t.Fatal(err)
		}
		src = append(src, samples.Sample{Name: "feeds", Label: -1, Whole: true, Inputs: feeds})
	}
	return src
}
