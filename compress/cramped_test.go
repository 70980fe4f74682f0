package compress

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// large writes a chain of 16 products with weights of 256 × 256, 4 MiB, and reads it.
func large(t *testing.T, external bool) *onnxio.Model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.onnx")
	if err := testmodels.WriteLarge(path, 1, 4<<20, 256, external); err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// TestChainsOnTheShelf wants the same model whether chains wait in memory or in a file.
func TestChainsOnTheShelf(t *testing.T) {
	m := large(t, false)
	var models [][]byte
	for _, memory := range []int64{1 << 30, 8 << 20} {
		r, data := run(t, m, Options{Targets: []Target{half(Params)}, Methods: []string{"svd"}, Memory: memory, AcceptDamage: true})
		if r.Memory.Limit != memory || r.Memory.Peak > 0 && r.Memory.Stage == "" {
			t.Errorf("the run says of its memory %+v", r.Memory)
		}
		models = append(models, unrecorded(t, data))
	}
	if !bytes.Equal(models[0], models[1]) {
		t.Error("the models differ")
	}
}

// TestWorkspace lets kernels in while they fit together, and one that does not fit at all by itself.
func TestWorkspace(t *testing.T) {
	k := decomp.Shape{Out: 64, In: 64, Groups: 1}
	w := newWorkspace(4 * factoringBytes(k)) // half of it is for kernels
	ctx, cancel := context.WithCancel(context.Background())
	var leave []func()
	for range 2 {
		l, err := w.enter(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := w.enter(ctx, k); !errors.Is(err, context.Canceled) {
		t.Errorf("a third kernel enters: %v", err)
	}
	for _, l := range leave {
		l()
	}
	l, err := w.enter(context.Background(), decomp.Shape{Out: 1 << 20, In: 1 << 20, Groups: 1})
	if err != nil {
		t.Fatal(err)
	}
	l()
}

// TestCramped names memory as the reason where it is one, with what would do.
func TestCramped(t *testing.T) {
	m := large(t, false)
	o := Options{Targets: []Target{half(Params)}}
	a, err := Analyse(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	next := a.cramp(func(*rewrite.Site) (string, int64) { return "it is too large", 3 << 20 })
	if len(next.Sites) != 0 || !strings.Contains(next.Skips[0].Reason, "too large") {
		t.Fatalf("%d sites are left", len(next.Sites))
	}
	err = next.impossible(o, o.Targets, 0)
	testkit.WantError(t, err, "16 nodes are left alone for want of memory", string(OptionMemory)+"=3MiB")
}

// TestImpossibleBytes refuses a size that no ranks give before anything is factored.
func TestImpossibleBytes(t *testing.T) {
	m := large(t, true)
	o := Options{Targets: []Target{{Resource: Bytes, Value: 9000}}}
	a, err := Analyse(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.impossible(o, o.Targets, 0); !errors.As(err, new(*UnmetError)) {
		t.Errorf("%v, want that it cannot be met", err)
	}
	o.Targets[0].Value = 1 << 20
	if err := a.impossible(o, o.Targets, 0); err != nil {
		t.Errorf("a quarter of the size: %v", err)
	}
}
