package search

import (
	"fmt"
	"strings"
)

// Method is one way to search, with the text that explains it.
type Method struct {
	Name  string // as flags spell it: "lagrange"
	Title string // one line
	Doc   string // a paragraph or two for people

	Formula string // what is minimised
	Source  string // where the method is described

	// Corrects says that losses are to be held against measurements: once there is a plan,
	// the caller measures some of its losses, rescales the ladders, and has a plan chosen
	// again.
	Corrects bool

	// find returns the best plan that the method knows, what the Lagrangian dual says of it, and whether it is proved
	// optimal. start is a plan within the budgets; the plan of least loss in every site is not.
	find func(p *problem, start choice) (best choice, d dual, proved bool, err error)
}

// Methods returns the methods there are, in the order in which they are listed to people. The first is the default.
func Methods() []Method {
	return []Method{composite(), lagrange(), rene()}
}

// method finds a method by its name.
func method(name string) (Method, error) {
	methods := Methods()
	if name == "" {
		return methods[0], nil
	}
	names := make([]string, len(methods))
	for i, m := range methods {
		if m.Name == name {
			return m, nil
		}
		names[i] = m.Name
	}
	return Method{}, fmt.Errorf("search: there is no method %q: choose one of %s", name, strings.Join(names, ", "))
}

func lagrange() Method {
	return Method{
		Name:  "lagrange",
		Title: "Lagrangian relaxation, then exchanges and a proof of limited size",
		Doc: `For given prices of the budgets the sites come apart: each takes the rung of least loss + price·cost, and
the sum bounds every plan from below. The best prices are found exactly along the lower convex hulls for one
budget, and by the ellipsoid method for several. From the plan nearest to them, what is left of the budgets is
spent greedily on any rungs, on the hulls or not; then single rungs and pairs are exchanged while that helps;
and over the rungs that the bound does not rule out a depth-first search, then dynamic programming, both of
limited size, improve on the result or prove that nothing can.`,
		Formula: "max over μ ≥ 0 of Σ_l min_r (loss_l(r) + μ·cost_l(r)) − μ·B",
		Source:  "H. Everett, Operations Research 11, 1963; Y. Shoham and A. Gersho, IEEE Transactions on Acoustics, Speech, and Signal Processing 36, 1988",
		find:    improved((*problem).dual),
	}
}

// improved finds the plan that comes of a relaxation.
func improved(relax func(p *problem, start choice) dual) func(*problem, choice) (choice, dual, bool, error) {
	return func(p *problem, start choice) (choice, dual, bool, error) {
		d := relax(p, start)
		best, proved := p.improve(d)
		return best, d, proved, nil
	}
}
