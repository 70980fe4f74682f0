package decomp

// Effort is how much arithmetic the methods that search may spend on a rank: descents, and sweeps of alternating least squares. It is counted
// in multiply-accumulates and rounds, never in seconds, and the same for every kernel, so that what is found is the same on any machine
// and a large kernel gets fewer rounds, not more hours. The empty Effort is Normal.
type Effort string

// The efforts there are.
const (
	Quick    Effort = "quick"    // a quarter of Normal
	Normal   Effort = "normal"   //
	Thorough Effort = "thorough" // four times Normal
)

// Efforts returns the efforts there are, the least first.
func Efforts() []Effort { return []Effort{Quick, Normal, Thorough} }

// scale is by what limits of work and of rounds are multiplied.
func (e Effort) scale() float64 {
	switch e {
	case Quick:
		return 0.25
	case Thorough:
		return 4
	}
	return 1
}

// Methods returns the methods there are, in the order in which they are listed to people, each of this effort.
func (e Effort) Methods() []Method {
	all := []Method{svd(), svdIn(e), spatial(e), spatialWH(e), tucker2(e), cp(e), cpWindow(e), tt(e)}
	for i := range all {
		all[i].Effort = e
	}
	return all
}

// Methods returns the methods of normal effort.
func Methods() []Method { return Normal.Methods() }

// Names returns the names of all methods, in their order.
func Names() []string {
	var out []string
	for _, m := range Methods() {
		out = append(out, m.Name)
	}
	return out
}
