package search_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/search"
)

// BenchmarkLarge chooses for models of as many sites, each with forty rungs on a curve of its own.
func BenchmarkLarge(b *testing.B) {
	for _, sites := range []int{100, 1000, 5000} {
		r := rand.New(rand.NewPCG(1, uint64(sites)))
		ladders, total := make([]search.Ladder, sites), 0.0
		for i := range ladders {
			size, energy, bend := 1e6*math.Exp(2*r.NormFloat64()), math.Exp(3*r.NormFloat64()), 1+4*r.Float64()
			for k := range 40 {
				cost := (float64(k) + 0.5 + 0.4*r.Float64()) / 40
				ladders[i].Rungs = append(ladders[i].Rungs, search.Rung{Costs: []float64{size * cost}, Loss: energy * math.Pow(1-cost, bend) * (1 + 0.1*r.Float64())})
			}
			ladders[i].Name = fmt.Sprint(i)
			ladders[i].Rungs = append(ladders[i].Rungs, search.Rung{Costs: []float64{size}})
			total += size
		}
		for _, m := range search.Methods() {
			b.Run(fmt.Sprintf("%s/%d", m.Name, sites), func(b *testing.B) {
				for b.Loop() {
					if _, err := search.Choose(ladders, []search.Budget{{Name: "macs", Limit: total / 2}}, search.Options{Method: m.Name}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
