package refit

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestShelfReuses: what forgotten values lay in is taken for the next ones of that size, and given up before the limit is passed.
func TestShelfReuses(t *testing.T) {
	s := newShelf(100, t.TempDir())
	defer s.close()
	put := func(value string, run, n int, v float32) {
		x := tensor.New(tensor.Float32, n)
		for i := range x.Float32s() {
			x.Float32s()[i] = v
		}
		if err := s.put(key{original, value}, run, x); err != nil {
			t.Fatal(err)
		}
	}
	forget := func(value string) {
		if err := s.sweep(func(k key) bool { return k.value != value }); err != nil {
			t.Fatal(err)
		}
	}
	put("a", 0, 10, 1)
	put("a", 1, 10, 2)
	forget("a")
	if s.spare != 80 || s.used != 0 {
		t.Fatalf("%d bytes are free and %d used, want 80 and 0", s.spare, s.used)
	}
	put("b", 0, 10, 3)
	if s.spare != 40 || s.used != 40 {
		t.Errorf("%d bytes are free and %d used, want 40 and 40", s.spare, s.used)
	}
	put("b", 1, 12, 4) // of another size, for which there is no room beside what is free
	if s.spare != 0 || s.used != 88 {
		t.Errorf("%d bytes are free and %d used, want 0 and 88", s.spare, s.used)
	}
	put("b", 2, 10, 5) // beyond the limit
	for run, want := range []float32{3, 4, 5} {
		x, filed, err := s.get(key{original, "b"}, run)
		if filed != (run == 2) || err != nil || x.Float32s()[0] != want || x.Float32s()[9] != want {
			t.Errorf("run %d: %v (%v), want %v", run, x.Float32s(), err, want)
		}
	}
	if s.filed != 40 {
		t.Errorf("%d bytes are in files, want 40", s.filed)
	}
	forget("")
	s.limit = 200
	l := s.loan(2)
	x, _ := l.get(key{original, "b"})
	if again, err := l.get(key{original, "b"}); err != nil || &again.Data[0] != &x.Data[0] {
		t.Errorf("what was read is read again (%v)", err)
	}
	if l.done(); s.spare != 40 {
		t.Errorf("%d bytes are free behind a loan, want 40", s.spare)
	}
}
