package linalg_test

import (
	"context"
	"errors"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

// TestUntil: with the context's end no operation begins any more; until then all is as it was, errors and panics too.
func TestUntil(t *testing.T) {
	one := linalg.Identity(2)
	fault := errors.New("fault")
	for _, want := range []error{nil, fault} {
		err := linalg.Until(context.Background(), linalg.Gonum(), func(b linalg.Backend) error {
			if got := b.Mul(false, false, 2, one, one).At(0, 0); got != 2 {
				t.Errorf("2·I has %g on its diagonal", got)
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	operations := 0
	err := linalg.Until(ctx, linalg.Gonum(), func(b linalg.Backend) error {
		for range 3 {
			b.Mul(false, false, 1, one, one)
			operations++
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || operations != 1 {
		t.Errorf("%d operations, and the error %v", operations, err)
	}
	defer func() {
		if r := recover(); r != fault {
			t.Errorf("panic %v, want %v", r, fault)
		}
	}()
	_ = linalg.Until(context.Background(), linalg.Gonum(), func(linalg.Backend) error { panic(fault) })
}
