package ort

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestConstantGC runs sessions on four goroutines, two to a session, while
// another collects garbage without pause. Inputs are made anew for each run,
// dropped at once and read late in it, so that memory that is not held through
// the run would be reused before it is read.
func TestConstantGC(t *testing.T) {
	l := openLibrary(t)
	o := Options{Optimization: OptimizeNone}
	sessions := []*Session{openSession(t, l, late(), o), openSession(t, l, late(), o)}
	const kinds = 8
	var want [kinds][2]string
	for k := range want {
		r, err := sessions[0].Run(context.Background(), map[string]tensor.Dense{"x": random(uint64(k), k+1, 128)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want[k] = [2]string{string(r.Get(0).Data), string(r.Get(1).Data)}
		r.Close()
	}

	enough := int64(100)
	if testing.Short() {
		enough = 20
	}
	var collections, runs atomic.Int64
	var junk atomic.Value
	stop := make(chan struct{})
	var collector, workers sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
				for range 32 { // overwrite what was freed
					for k := range kinds {
						junk.Store(bytes.Repeat([]byte{0x7f}, (k+1)*128*4))
					}
				}
				collections.Add(1)
			}
		}
	})
	for w := range 4 {
		workers.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			for i := 0; i < 100 || collections.Load() < enough; i++ {
				k := (i + w) % kinds
				r, err := sessions[w/2].Run(ctx, map[string]tensor.Dense{"x": random(uint64(k), k+1, 128)}, nil)
				if err != nil {
					t.Errorf("goroutine %d, run %d: %v", w, i, err)
					return
				}
				for j := range 2 {
					if string(r.Get(j).Data) != want[k][j] {
						t.Errorf("goroutine %d, run %d: output %d differs", w, i, j)
					}
				}
				r.Close()
				runs.Add(1)
			}
		})
	}
	workers.Wait()
	close(stop)
	collector.Wait()
	t.Logf("%d runs during %d collections", runs.Load(), collections.Load())
}

// TestQuiet runs what fails inside the runtime in a process of its own: nothing
// may be written to its standard error or output.
func TestQuiet(t *testing.T) {
	const marker = "ORT_TEST_QUIET"
	if os.Getenv(marker) == "" {
		openLibrary(t) // skips here if there is none
		cmd := exec.Command(os.Args[0], "-test.run=^TestQuiet$")
		cmd.Env = append(os.Environ(), marker+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		// Under -cover the test adds a line of its own behind PASS.
		if got := string(out); !regexp.MustCompile(`^PASS\n(coverage: .*\n)?$`).MatchString(got) {
			t.Errorf("the runtime printed: %s", got)
		}
		return
	}
	l := openLibrary(t)
	model := marshal(t, mlp())
	for _, bad := range [][]byte{[]byte("garbage"), model[:len(model)/2], marshal(t, made(nil, nil, nil, node("NoSuchOperator", nil, "y")))} {
		if _, err := l.NewSession(bad, Options{}); err == nil {
			t.Error("a bad model was taken")
		}
	}
	s := openSession(t, l, failing(), Options{})
	if _, err := s.Run(context.Background(), map[string]tensor.Dense{"i": tensor.FromInt64([]int{1}, []int64{9})}, nil); err == nil {
		t.Error("an index beyond the table was taken")
	}
}

// BenchmarkRun measures the overhead of a run: the model adds two numbers.
func BenchmarkRun(b *testing.B) {
	l := openLibrary(b)
	s := openSession(b, l, made(
		values(value("x", tensor.Float32, 1)), values(value("y", tensor.Float32, 1)), nil, node("Add", []string{"x", "x"}, "y"),
	), Options{})
	inputs := map[string]tensor.Dense{"x": random(1, 1)}
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
	}{{"background", context.Background()}, {"cancellable", cancellable}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := s.Run(c.ctx, inputs, nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}

// BenchmarkCall measures one call into the library.
func BenchmarkCall(b *testing.B) {
	l := openLibrary(b)
	for b.Loop() {
		l.call(slotReleaseValue, 0)
	}
}
