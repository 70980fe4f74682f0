package ort

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// TestTypes sends every element type through Identity, at several ranks and
// with no elements at all.
func TestTypes(t *testing.T) {
	l := openLibrary(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range []tensor.Type{
		tensor.Float32, tensor.Uint8, tensor.Int8, tensor.Uint16, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Bool,
		tensor.Float16, tensor.Float64, tensor.Uint32, tensor.Uint64, tensor.BFloat16,
		tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E5M2, tensor.Float8E5M2FNUZ,
	} {
		for _, shape := range [][]int{{}, {1}, {0}, {3, 0, 2}, {2, 3, 5}} {
			dims := make([]any, len(shape))
			for i, n := range shape {
				dims[i] = n
			}
			s, err := l.NewSession(marshal(t, identity(typ, dims...)), Options{})
			if err != nil {
				t.Errorf("%v%v: %v", typ, shape, err)
				continue
			}
			defer s.Close()
			x := tensor.New(typ, shape...)
			for i := range x.Data {
				x.Data[i] = byte(r.Uint32())
				if typ == tensor.Bool {
					x.Data[i] &= 1
				}
			}
			res, err := s.Run(context.Background(), map[string]tensor.Dense{"x": x}, nil)
			if err != nil {
				t.Errorf("%v%v: %v", typ, shape, err)
				continue
			}
			y := res.Get(0)
			if y.Type != typ || len(y.Shape) != len(shape) || !bytes.Equal(y.Data, x.Data) || y.Check() != nil {
				t.Errorf("%v%v came back as %v%v, %v instead of %v", typ, shape, y.Type, y.Shape, y.Data, x.Data)
			}
			res.Close()
		}
	}
}

// TestPacked transposes elements of four bits, two to a byte.
func TestPacked(t *testing.T) {
	l := openLibrary(t)
	for _, typ := range []tensor.Type{tensor.Uint4, tensor.Int4} {
		s := openSession(t, l, made(
			values(value("x", typ, 3, 3)), values(value("y", typ, 3, 3)), nil, node("Transpose", []string{"x"}, "y"),
		), Options{})
		x := tensor.Dense{Type: typ, Shape: []int{3, 3}, Data: []byte{0x21, 0x43, 0x65, 0x87, 0x09}}
		if got, want := runOne(t, s, map[string]tensor.Dense{"x": x}), "\x41\x27\x85\x63\x09"; got != want {
			t.Errorf("%v: %x, want %x", typ, got, want)
		}
	}
}

func TestElementTypes(t *testing.T) {
	for typ := tensor.Undefined; typ <= tensor.Int2+1; typ++ {
		e, ok := elementOf(typ)
		if want := typ.Valid() && typ != tensor.Float8E8M0; ok != want {
			t.Errorf("elementOf(%v) known: %v, want %v", typ, ok, want)
		}
		if !ok {
			continue
		}
		if back, ok := typeOf(e); !ok || back != typ {
			t.Errorf("%v becomes %v, which becomes %v", typ, e, back)
		}
	}
}

func TestBadInputs(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, mlp(), Options{})
	x := random(3, 2, 64)
	for _, c := range []struct {
		name    string
		inputs  map[string]tensor.Dense
		outputs []string
		want    []string
	}{
		{"missing", nil, nil, []string{`"x" float32[batch,64] is missing`}},
		{"unknown input", map[string]tensor.Dense{"x": x, "z": x, "q": x}, nil, []string{`no input "q"`, `"x" float32[batch,64]`}},
		{"unknown output", map[string]tensor.Dense{"x": x}, []string{"y", "z"}, []string{`no output "z"`, `"y" float32[batch,10]`, `"hidden"`}},
		{"output twice", map[string]tensor.Dense{"x": x}, []string{"y", "y"}, []string{`"y" is asked for twice`}},
		{"no outputs", map[string]tensor.Dense{"x": x}, []string{}, []string{"no outputs"}},
		{"type", map[string]tensor.Dense{"x": tensor.New(tensor.Float64, 2, 64)}, nil, []string{`"x" float32[batch,64]`, "float64[2,64]"}},
		{"rank", map[string]tensor.Dense{"x": tensor.New(tensor.Float32, 64)}, nil, []string{`"x" float32[batch,64]`, "float32[64]"}},
		{"dimension", map[string]tensor.Dense{"x": tensor.New(tensor.Float32, 2, 63)}, nil, []string{`"x" float32[batch,64]`, "float32[2,63]"}},
		{"data length", map[string]tensor.Dense{"x": {Type: tensor.Float32, Shape: []int{2, 64}, Data: x.Data[4:]}}, nil, []string{`"x"`, "512 bytes, has 508"}},
		{"negative dimension", map[string]tensor.Dense{"x": {Type: tensor.Float32, Shape: []int{-2, 64}}}, nil, []string{`"x"`, "negative"}},
		{"strings", map[string]tensor.Dense{"x": {Type: tensor.String, Shape: []int{2, 64}}}, nil, []string{"string tensors"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := s.Run(context.Background(), c.inputs, c.outputs)
			if err == nil {
				r.Close()
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	runOne(t, s, map[string]tensor.Dense{"x": x}) // the session still works
}

func TestStrings(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, identity(tensor.String, 1), Options{})
	_, err := s.Run(context.Background(), map[string]tensor.Dense{"x": {Type: tensor.String, Shape: []int{1}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "string tensors cannot be read") {
		t.Errorf("error %v", err)
	}
}

// TestRuntimeFailure has a node fail during the run: an index beyond its table.
func TestRuntimeFailure(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, failing(), Options{})
	_, err := s.Run(context.Background(), map[string]tensor.Dense{"i": tensor.FromInt64([]int{1}, []int64{9})}, nil)
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("error %v, want an Error", err)
	}
	if !strings.Contains(failure.Message, "Gather_y") || failure.Code == "" || failure.Op != "compute" {
		t.Errorf("error %+v does not name the node", failure)
	}
}

func TestOutputOrder(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, mlp(), Options{})
	r, err := s.Run(context.Background(), map[string]tensor.Dense{"x": random(3, 2, 64)}, []string{"hidden", "y"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if h, y := r.Get(0).Shape, r.Get(1).Shape; r.Len() != 2 || h[1] != 256 || y[1] != 10 {
		t.Errorf("shapes %v, %v, want [2 256], [2 10]", h, y)
	}
}

// TestUnaligned passes data that starts between elements.
func TestUnaligned(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, mlp(), Options{})
	x := random(3, 2, 64)
	want := runOne(t, s, map[string]tensor.Dense{"x": x})
	for shift := 1; shift < 4; shift++ {
		buffer := make([]byte, len(x.Data)+shift)
		copy(buffer[shift:], x.Data)
		moved := tensor.Dense{Type: x.Type, Shape: x.Shape, Data: buffer[shift:]}
		if got := runOne(t, s, map[string]tensor.Dense{"x": moved}); got != want {
			t.Errorf("shifted by %d bytes: the output differs", shift)
		}
	}
}

// TestPassThrough has outputs that are an input and an initializer themselves:
// the first must not change with the caller's memory, the second must outlive
// the session.
func TestPassThrough(t *testing.T) {
	l := openLibrary(t)
	w := random(5, 8)
	s := openSession(t, l, made(
		values(value("x", tensor.Float32, 8)),
		values(value("x", tensor.Float32, 8), value("w", tensor.Float32, 8), value("y", tensor.Float32, 8)),
		[]onnxio.Tensor{constant("w", w)}, node("Add", []string{"x", "w"}, "y"),
	), Options{})
	x := random(6, 8)
	before := bytes.Clone(x.Data)
	r, err := s.Run(context.Background(), map[string]tensor.Dense{"x": x}, []string{"x", "w"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	clear(x.Data)
	s.Close()
	if !bytes.Equal(r.Get(0).Data, before) {
		t.Error("the output changed with the input's memory")
	}
	if !bytes.Equal(r.Get(1).Data, w.Data) {
		t.Error("the initializer came back changed")
	}
}

func TestCancel(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, endless(), Options{})
	inputs := map[string]tensor.Dense{"start": tensor.New(tensor.Float32)}
	for _, c := range []struct {
		name string
		make func() (context.Context, context.CancelFunc)
		want error
	}{
		{"cancelled before", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		}, context.Canceled},
		{"cancelled", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled},
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		}, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := c.make()
			defer cancel()
			start := time.Now()
			r, err := s.Run(ctx, inputs, nil)
			if err == nil {
				r.Close()
				t.Fatal("no error")
			}
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			t.Logf("returned after %v: %v", time.Since(start).Round(time.Millisecond), err)
		})
	}
}

// TestCancelOne stops one run of a session and not the one beside it.
func TestCancelOne(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, endless(), Options{})
	inputs := map[string]tensor.Dense{"start": tensor.New(tensor.Float32)}
	first, stopFirst := context.WithCancel(context.Background())
	second, stopSecond := context.WithCancel(context.Background())
	defer stopSecond()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(second, inputs, nil)
		ended <- err
	}()
	time.AfterFunc(20*time.Millisecond, stopFirst)
	if _, err := s.Run(first, inputs, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want Canceled", err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the other run ended too: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	stopSecond()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want Canceled", err)
	}
}
