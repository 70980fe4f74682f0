package compress

import (
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
	plain := provenance.Detach(m)
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
// not about the schemes, and a tenth of the work of all.
func quick(o Options) Options {
	if len(o.Methods) == 0 && o.FromPlan == nil {
		o.Methods = []string{"svd", "spatial"}
	}
	return o
}

// run compresses, by the methods of quick unless others are named, and reads what was written.
func run(t *testing.T, m *onnxio.Model, o Options) (*Result, []byte) {
	t.Helper()
	if o.Output == "" {
		o.Output = out(t)
	}
	r, err := Run(context.Background(), m, quick(o))
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

// bare is a job without ONNX Runtime, on Go's own algebra, by the methods of quick unless others are named.
func bare(m *onnxio.Model, o Options) *job {
	o = quick(o).withDefaults()
	methods, err := o.methods()
	if err != nil {
		panic(err) // the names in tests are known
	}
	return &job{
		opts: o, model: m, methods: methods, result: &Result{},
		libs: &Libraries{Algebra: linalg.Gonum(), Missing: errors.New("hidden from this test")},
	}
}

// withRuntime is a job with all libraries.
func withRuntime(t testing.TB, m *onnxio.Model, o Options) *job {
	t.Helper()
	needRuntime(t)
	j := bare(m, o)
	var err error
	if j.libs, err = OpenLibraries(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.libs.Close)
	return j
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

// event is one call of Options.Progress.
type event struct {
	stage       string
	done, total int
}

// log keeps the calls of Options.Progress.
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
