package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// memory is a source of given samples.
type memory = testkit.Memory[samples.Sample]

// samples draws n samples of the input "x" or another with the given sizes.
func drawn(n int, input string, sizes ...int) memory {
	random := rand.New(rand.NewPCG(7, 7))
	var out memory
	for i := range n {
		t := tensor.New(tensor.Float32, sizes...)
		v := t.Float32s()
		for k := range v {
			v[k] = float32(random.NormFloat64()) + 0.25
		}
		out = append(out, samples.Sample{
			Name: fmt.Sprintf("sample %d", i), Label: i % 5, Inputs: map[string]tensor.Dense{input: t},
		})
	}
	return out
}

// save writes a model to a file of its own folder and reads it from there.
func save(t testing.TB, m *onnxio.Model) *onnxio.Model {
	t.Helper()
	read, err := onnxio.Read(testkit.Save(t, m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	return read
}

// zoo returns a model of the zoo, read from a file.
func zoo(t testing.TB, name string) *onnxio.Model {
	t.Helper()
	return save(t, testkit.Zoo(t, name))
}

// built returns the model of a builder, read from a file.
func built(t testing.TB, b *testmodels.Builder) *onnxio.Model {
	t.Helper()
	return save(t, testkit.Built(t, b))
}

// unrecorded returns a model file's bytes without the record of what it was made from,
// which names the options.
func unrecorded(t testing.TB, data []byte) []byte {
	t.Helper()
	m, err := onnxio.Parse(data, "")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	plain := onnxio.WithMetadata(m, provenance.Prefix, nil)
	defer plain.Close()
	bytes, err := plain.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// out is a path in a folder of its own.
func out(t testing.TB) string { return filepath.Join(t.TempDir(), "small.onnx") }

// needRuntime skips the test where there is no ONNX Runtime.
func needRuntime(t testing.TB) {
	t.Helper()
	provisiontest.Need(t, provision.ONNXRuntime)
}

// schemes are the names of all methods.
func schemes() []string {
	var names []string
	for _, m := range decomp.Methods() {
		names = append(names, m.Name)
	}
	return names
}

// quick has two methods on offer where a test names none, one in closed form and one that descends: enough for what is
// not about the schemes, and a tenth of the work of all. There are no sensitivities unless a test asks for them.
func quick(o Options) Options {
	o.AcceptDamage = true // models with random weights do not compress well
	if len(o.Methods) == 0 && o.FromPlan == nil {
		o.Methods = []string{"svd", "spatial"}
	}
	o.Probes = cmp.Or(o.Probes, -1)
	return o
}

// none is a number of probes, where 0 is to be none.
func none(probes int) int { return cmp.Or(probes, -1) }

// to is quick with a file for the result.
func to(t testing.TB, o Options) RunOptions { return RunOptions{Options: quick(o), Output: out(t)} }

// in is an environment with all libraries there are.
func in(t testing.TB, how ...func(*EnvironmentOptions)) *Environment {
	t.Helper()
	var o EnvironmentOptions
	for _, set := range how {
		set(&o)
	}
	env, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(env.Close)
	return env
}

// threads is an environment with so many.
func threads(n int) func(*EnvironmentOptions) { return func(o *EnvironmentOptions) { o.Threads = n } }

// told is an environment whose progress p is told.
func told(p samples.Progress) func(*EnvironmentOptions) {
	return func(o *EnvironmentOptions) { o.Progress = p }
}

// bare is an environment without ONNX Runtime, on Go's own algebra.
func bare() *Environment {
	return &Environment{
		Algebra: linalg.Gonum(), Missing: errors.New("hidden from this test"), Threads: 2, progress: oneByOne(nil), journal: new([]Stage),
	}
}

// run compresses, by the methods of quick unless others are named, and reads what was written.
func run(t *testing.T, m *onnxio.Model, o Options, how ...func(*EnvironmentOptions)) (*Result, []byte) {
	t.Helper()
	return runTo(t, m, to(t, o), how...)
}

// runTo is run with a file named for the result.
func runTo(t *testing.T, m *onnxio.Model, o RunOptions, how ...func(*EnvironmentOptions)) (*Result, []byte) {
	t.Helper()
	r, err := Run(context.Background(), in(t, how...), m, o)
	if err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	return r, written
}

// half asks for half of a resource.
func half(r Resource) Target { return Target{Resource: r, Value: 0.5, Fraction: true} }

// share asks for a share of a resource.
func share(r Resource, v float64) Target { return Target{Resource: r, Value: v, Fraction: true} }

// workshop is a model analysed and factored, and what it was done with.
type workshop struct {
	env *Environment
	o   Options
	a   *Analysis
	of  *Offers
}

// factoredIn analyses and factors a model, by the methods given, or else by those of quick.
func factoredIn(t testing.TB, env *Environment, m *onnxio.Model, o Options, methods ...decomp.Method) *workshop {
	t.Helper()
	w := &workshop{env: env, o: quick(o).WithDefaults()}
	var err error
	if w.a, err = Analyse(context.Background(), m, w.o); err != nil {
		t.Fatal(err)
	}
	if len(methods) > 0 {
		w.a.methods = methods
	}
	if w.of, err = Factor(context.Background(), env, w.a, w.o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.of.close)
	return w
}

// choose chooses within the targets.
func (w *workshop) choose(ctx context.Context) (*Choice, error) {
	c, err := Choose(ctx, w.env, w.a, w.of, w.o, w.o.Targets, 0)
	if err == nil && c.Unmet != nil {
		err = c.Unmet
	}
	return c, err
}

// empty reports whatever lies in a folder, hidden files included.
func empty(t testing.TB, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left in the output's folder", e.Name())
	}
}

// event is one call of a Progress.
type event struct {
	stage       string
	done, total int
}

// log keeps the calls of a Progress.
type log struct {
	busy   sync.Mutex
	events []event
	clash  bool
}

func (l *log) add(stage string, done, total int) {
	if !l.busy.TryLock() {
		l.clash = true
		return
	}
	defer l.busy.Unlock()
	l.events = append(l.events, event{stage, done, total})
}
