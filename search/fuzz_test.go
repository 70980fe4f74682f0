package search_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/onnx-compress/onnx-compress/search"
)

// FuzzChoose reads ladders of any form out of bytes, and wants plans that are what they say.
func FuzzChoose(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(1), 10.0)
	f.Add([]byte{0, 0, 0, 255, 255, 255, 7, 0, 200}, uint8(2), 0.5)
	f.Add([]byte{9, 1, 9, 1, 9, 1, 0, 9, 9}, uint8(3), 1e300)
	f.Fuzz(func(t *testing.T, data []byte, budgetCount uint8, limit float64) {
		n := int(budgetCount%3) + 1
		var ladders []search.Ladder
		for i := 0; i+n < len(data) && i < 400; i += n + 1 {
			if len(ladders) == 0 || data[i]%4 == 0 {
				ladders = append(ladders, search.Ladder{Name: fmt.Sprint(i)})
			}
			costs := make([]float64, n)
			for b := range costs {
				costs[b] = math.Exp(float64(data[i+1+b])/4) - 1
			}
			l := &ladders[len(ladders)-1]
			l.Rungs = append(l.Rungs, search.Rung{Costs: costs, Loss: math.Exp(float64(data[i])/3-40) * float64(data[i]%5)})
		}
		budgets := make([]search.Budget, n)
		for b := range budgets {
			budgets[b].Limit = limit * float64(b+1)
		}
		for _, m := range search.Methods() {
			if p, err := search.Choose(ladders, budgets, search.Options{Method: m.Name}); err == nil {
				check(t, ladders, budgets, p)
			}
		}
	})
}
