package search_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/search"
)

// One rung of each ladder, so that the least is lost within the budget.
func ExampleChoose() {
	ladders := []search.Ladder{
		{Name: "first", Rungs: []search.Rung{
			{Costs: []float64{10}, Loss: 5}, {Costs: []float64{20}, Loss: 1}, {Costs: []float64{40}, Loss: 0},
		}},
		{Name: "second", Rungs: []search.Rung{
			{Costs: []float64{15}, Loss: 0.5}, {Costs: []float64{30}, Loss: 0},
		}},
	}
	plan, err := search.Choose(ladders, []search.Budget{{Name: "macs", Limit: 40}}, search.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for i, l := range ladders {
		fmt.Printf("%s: rung %d\n", l.Name, plan.Rungs[i])
	}
	fmt.Printf("cost %g, loss %g, none has less than %g\n", plan.Costs[0], plan.Loss, plan.Bound)

	_, err = search.Choose(ladders, []search.Budget{{Name: "macs", Limit: 20}}, search.Options{})
	unmet := (*search.InfeasibleError)(nil)
	if errors.As(err, &unmet) {
		fmt.Printf("at most %g %s cannot be: the least is %g\n", unmet.Limit, unmet.Budget, unmet.Reachable)
	}
	// Output:
	// first: rung 1
	// second: rung 0
	// cost 35, loss 1.5, none has less than 1.5
	// at most 20 macs cannot be: the least is 25
}
