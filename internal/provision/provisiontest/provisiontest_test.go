package provisiontest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
)

// recorder stands in for a test and notes how it ended.
type recorder struct {
	testing.TB
	ended string
}

type stop struct{}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) {
	r.ended = "skip: " + fmt.Sprint(args...)
	panic(stop{})
}

func (r *recorder) Fatal(args ...any) {
	r.ended = "fatal: " + fmt.Sprint(args...)
	panic(stop{})
}

func ended(t *testing.T, f func(testing.TB)) (how string) {
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(stop); !ok {
				panic(p)
			}
			how = r.ended
		}
	}()
	f(r)
	return ""
}

func TestMissing(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	t.Setenv(provision.ONNXRuntime.Env(), gone)
	t.Setenv(EnvPython, gone)
	for require, want := range map[string]string{"": "skip: ", "1": "fatal: "} {
		t.Setenv(EnvRequire, require)
		for name, f := range map[string]func(testing.TB){
			"library": func(tb testing.TB) { Need(tb, provision.ONNXRuntime) },
			"python":  func(tb testing.TB) { Python(tb) },
		} {
			if how := ended(t, f); !strings.HasPrefix(how, want) || !strings.Contains(how, gone) {
				t.Errorf("%s with %s=%q: %q", name, EnvRequire, require, how)
			}
		}
	}
}

func TestFoundIsUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(provision.OpenBLAS.Env(), file)
	t.Setenv(EnvPython, file)
	if got := Need(t, provision.OpenBLAS); got != file {
		t.Errorf("library %s, wanted %s", got, file)
	}
	if got := Python(t); got != file {
		t.Errorf("python %s, wanted %s", got, file)
	}
	if how := ended(t, func(tb testing.TB) { Python(tb, "no_such_module") }); !strings.Contains(how, "no_such_module") {
		t.Errorf("a missing module: %q", how)
	}
}

// TestSkipExamples: the examples are left out beside what was left out already.
func TestSkipExamples(t *testing.T) {
	skip := flag.Lookup("test.skip")
	given := skip.Value.String()
	defer skip.Value.Set(given)
	for before, want := range map[string]string{"": "^Example", "^TestSlow$": "^TestSlow$|^Example"} {
		if err := skip.Value.Set(before); err != nil {
			t.Fatal(err)
		}
		if err := skipExamples(); err != nil || skip.Value.String() != want {
			t.Errorf("-skip %q becomes %q, %v; want %q", before, skip.Value, err, want)
		}
	}
}
