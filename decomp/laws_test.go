package decomp_test

import (
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/decomp/decomptest"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/linalg"
)

func TestLaws(t *testing.T) {
	for _, m := range decomp.Methods() {
		t.Run(m.Name+"/gonum", func(t *testing.T) { decomptest.Run(t, linalg.Gonum(), m) })
		t.Run(m.Name+"/openblas", func(t *testing.T) {
			b, err := linalg.Open(provisiontest.Need(t, provision.OpenBLAS))
			if err != nil {
				t.Fatal(err)
			}
			decomptest.Run(t, b, m)
		})
	}
}

func FuzzShapes(f *testing.F) {
	f.Add(uint64(1), uint8(4), uint8(3), uint8(3), uint8(3), uint8(1), uint8(2))
	f.Add(uint64(2), uint8(1), uint8(1), uint8(1), uint8(1), uint8(7), uint8(1))
	f.Add(uint64(3), uint8(9), uint8(1), uint8(2), uint8(1), uint8(2), uint8(0))
	f.Add(uint64(4), uint8(5), uint8(3), uint8(1), uint8(2), uint8(0), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, out, in, height, width, groups, axes uint8) {
		g := int(groups)%4 + 1
		s := decomp.Shape{Out: (int(out)%6 + 1) * g, In: (int(in)%4 + 1) * g, Groups: g} // small: all laws of all methods in well under a second
		s.Window = []int{int(height)%3 + 1, int(width)%3 + 1, 2}[:axes%4]
		for _, m := range decomp.Methods() {
			specimens := []decomptest.Specimen{decomptest.Random(seed, s)}
			if len(s.Window) == 0 {
				specimens = append(specimens, decomptest.Formed(seed, s)...)
			}
			for _, specimen := range specimens {
				decomptest.Laws(t, linalg.Gonum(), m, specimen)
			}
		}
	})
}

// FuzzUnits holds the choice of units to its laws on small kernels of any shape.
func FuzzUnits(f *testing.F) {
	f.Add(uint64(1), uint8(4), uint8(3), uint8(3), uint8(3), uint8(1), uint8(2))
	f.Add(uint64(2), uint8(1), uint8(1), uint8(1), uint8(1), uint8(7), uint8(1))
	f.Add(uint64(3), uint8(9), uint8(5), uint8(2), uint8(1), uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, out, in, height, width, groups, axes uint8) {
		g := int(groups)%4 + 1
		s := decomp.Shape{Out: (int(out)%6 + 1) * g, In: (int(in)%9 + 1) * g, Groups: g, Window: []int{int(height)%3 + 1, int(width)%3 + 1, 2}[:axes%4]}
		specimens := []decomptest.Specimen{decomptest.Random(seed, s)}
		if len(s.Window) == 0 {
			specimens = append(specimens, decomptest.Formed(seed, s)...)
		}
		for _, specimen := range specimens {
			decomptest.UnitLaws(t, linalg.Gonum(), decomptest.AxisOf(specimen))
		}
	})
}

// FuzzRanks asks a method, which the last argument names with how many numbers a rank has, for arbitrary ranks, which must be
// refused or have the loss that they promise.
func FuzzRanks(f *testing.F) {
	methods := decomp.Methods()
	for i := range methods {
		method := uint8(4 * i)
		f.Add(uint64(1), 1, 1, 1, method+1)
		f.Add(uint64(2), 4, 9, 3, method+2)
		f.Add(uint64(3), 1000, -1, 0, method)
	}
	f.Fuzz(func(t *testing.T, seed uint64, r1, r2, r3 int, asked uint8) {
		s := decomptest.Random(seed, decomp.Shape{Out: 6, In: 5, Window: []int{3, 2}, Groups: 1})
		m, r := methods[int(asked)/4%len(methods)], decomp.Rank{r1, r2, r3}[:asked%4]
		spectrum, err := m.Factor(linalg.Gonum(), s.Kernel, s.Metric)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := spectrum.Loss(r)
		chain, chainErr := spectrum.Chain(r)
		if (err == nil) != (chainErr == nil) || err == nil && m.Factors(s.Kernel.Shape, r) == nil {
			t.Fatalf("%s, rank %v: loss says %v, chain says %v, factors %v", m.Name, r, err, chainErr, m.Factors(s.Kernel.Shape, r))
		}
		if err != nil {
			return
		}
		whole, err := chain.Compose(linalg.Gonum(), s.Kernel.Shape)
		if err != nil {
			t.Fatal(err)
		}
		if got := decomptest.Loss(s.Kernel, whole, s.Metric); math.Abs(got-loss) > 1e-8*loss+1e-12*spectrum.Energy() {
			t.Errorf("%s, rank %v: promised loss %g, measured %g", m.Name, r, loss, got)
		}
	})
}

func TestUnitLaws(t *testing.T) {
	t.Run("gonum", func(t *testing.T) { decomptest.RunUnits(t, linalg.Gonum()) })
	t.Run("openblas", func(t *testing.T) {
		b, err := linalg.Open(provisiontest.Need(t, provision.OpenBLAS))
		if err != nil {
			t.Fatal(err)
		}
		decomptest.RunUnits(t, b)
	})
}
