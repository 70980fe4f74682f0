// Chooses one rung of each ladder under a budget.
package main

import (
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/search"
)

func main() {
	ladders := []search.Ladder{
		{Name: "first", Rungs: []search.Rung{{Costs: []float64{10}, Loss: 5}, {Costs: []float64{20}, Loss: 1}}},
		{Name: "second", Rungs: []search.Rung{{Costs: []float64{15}, Loss: 0.5}, {Costs: []float64{30}}}},
	}
	plan, err := search.Choose(ladders, []search.Budget{{Name: "macs", Limit: 40}}, search.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Rungs, plan.Costs, plan.Loss)
}
