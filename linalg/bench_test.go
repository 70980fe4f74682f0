package linalg_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/linalg"
)

func BenchmarkSymEig(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 1))
	for _, n := range []int{64, 256, 576} {
		g := random(r, n, 2*n)
		a := linalg.Gonum().Mul(false, true, 1, g, g)
		forBackends(b, fmt.Sprint(n), func(k linalg.Backend) error { _, _, err := k.SymEig(a); return err })
	}
}

func BenchmarkMul(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 2))
	for _, n := range []int{64, 576} {
		x := random(r, n, n)
		forBackends(b, fmt.Sprint(n), func(k linalg.Backend) error { k.Mul(false, false, 1, x, x); return nil })
	}
}

// BenchmarkMoments measures what calibration does most: the lag correlation of a padded image's channels, and the
// second moment of im2col columns.
func BenchmarkMoments(b *testing.B) {
	for _, c := range []int{16, 64} {
		n := 34 * 34
		image, dst := linalg.NewBlock32(c, n), linalg.NewBlock32(c, c)
		forBackends(b, fmt.Sprintf("lag/%d", c), func(k linalg.Backend) error {
			k.GemmAdd32(false, true, image.Columns(0, n-35), image.Columns(35, n), dst)
			return nil
		})
		patches, gram := linalg.NewBlock32(9*c, 1024), linalg.NewBlock32(9*c, 9*c)
		forBackends(b, fmt.Sprintf("columns/%d", c), func(k linalg.Backend) error { k.SyrkAdd32(false, patches, gram); return nil })
	}
}

func forBackends(b *testing.B, name string, op func(linalg.Backend) error) {
	run := func(b *testing.B, k linalg.Backend) {
		for b.Loop() {
			if err := op(k); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run(name+"/gonum", func(b *testing.B) { run(b, linalg.Gonum()) })
	b.Run(name+"/openblas", func(b *testing.B) { run(b, openBLAS(b)) })
}
