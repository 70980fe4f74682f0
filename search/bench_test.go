package search_test

import (
	"fmt"
	"testing"

	"github.com/onnx-compress/onnx-compress/search"
)

// BenchmarkChoose reports, beside the time, by how many percent the loss is above the best bound known.
func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{1, 2} {
		ladders := sites(4, 54, 200, n)
		budgets := []search.Budget{{Name: "macs", Limit: 0.5 * full(ladders, 0)}}
		if n == 2 {
			budgets = append(budgets, search.Budget{Name: "params", Limit: 0.5 * full(ladders, 1)})
		}
		best, err := search.Choose(ladders, budgets, search.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range search.Methods() {
			b.Run(fmt.Sprintf("%s/%d budgets", m.Name, n), func(b *testing.B) {
				var p search.Plan
				for b.Loop() {
					if p, err = search.Choose(ladders, budgets, search.Options{Method: m.Name}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(above(p, best.Bound), "%above")
			})
		}
	}
}
