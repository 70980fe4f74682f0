// Package decomp factors kernels: it replaces one large linear map by a chain of smaller ones.
//
// It is pure mathematics in float64 and knows nothing of any file format. A site's kernel W is read as
// one O×K matrix for each group (Shape.Rows, Shape.Cols). What a replacement W' costs in accuracy is
//
//	loss(W') = Σ_groups tr(G (W−W') A (W−W')ᵀ) = Σ_groups ‖G^½ (W−W') A^½‖²_F
//
// where A is the second moment of the site's input patches and G that of the network's sensitivity to
// the site's output (Metric). A method factors a kernel once, into a Spectrum, which then answers for
// any rank: what the loss would be, and the chain itself.
//
// Methods lists them. For one that Accepts the kernel's shape, Ranks are the ranks to look at first and Factors
// the sizes of the chain at each, without numbers; Factor gives the Spectrum, whose Chain then has the numbers.
//
// A chain adds channels in between. Eliminate takes units away instead: of an axis that lies between two layers, it finds the
// order in which units leave, and for every number that stays the kernels of the readers that make up for the others, under the
// same loss.
package decomp

import "github.com/onnx-compress/onnx-compress/linalg"

// Metric says which errors of a kernel matter, one matrix a group. Both are symmetric positive
// semidefinite. A nil slice stands for the identity, a nil element for the identity in that group.
//
// The input side is a matrix or the sum of a sample's moment and a diagonal matrix, either of which may be missing. These
// are for plain matrices (an empty window) too wide for a K×K matrix; of the methods, only svd takes such shapes.
type Metric struct {
	In       []*linalg.Matrix // A = E[x xᵀ], [K, K]
	Sample   []*linalg.Matrix // S with A = SᵀS, [n, K]: the columns x, one a row, times 1/√n
	Diagonal [][]float64      // what A has, [K], on its diagonal beyond SᵀS
	Out      []*linalg.Matrix // G = E[g gᵀ], [O, O]
	// Pullback is G seen through the kernel that is factored, WᵀGW = E[(Wᵀg)(Wᵀg)ᵀ], [K, K], in place of Out: for a plain matrix
	// with more outputs than inputs, whose G would be larger than the matrix itself. It says what is lost by replacements
	// W' = W·P, of which the best of every rank is one, and nothing of others.
	Pullback []*linalg.Matrix

	roots []*roots // of Out, a group each; nil where they are found anew each time
}

// Remembering returns the metric with room for what factorizations find of Out alone, so that several under the same Out, also at the same
// time, find it once. Other moments of it may be exchanged.
func (m Metric) Remembering() Metric {
	m.roots = nil
	for range m.Out {
		m.roots = append(m.roots, &roots{})
	}
	return m
}

// Spectrum is a kernel factored once.
type Spectrum interface {
	// Loss returns tr(G (W−W') A (W−W')ᵀ) summed over groups, in absolute terms and under the metric
	// as it was given, of the chain that Chain returns for this rank. Errors are those of Chain.
	Loss(Rank) (float64, error)
	// Energy returns tr(G W A Wᵀ) summed over groups: the loss of replacing the kernel by zero.
	Energy() float64
	// Chain returns the factors of this rank: an error for a rank that the shape does not have, and a
	// *RefusedError for one at which the method finds no usable factors.
	Chain(Rank) (Chain, error)
	// Move lets go of what the spectrum can find again, and has the numbers that it keeps lie where to puts them: the same,
	// not to be written to. What it answers stays the same. After an error the spectrum is of no use any more.
	Move(to func([]float64) ([]float64, error)) error
}

// Method is one way to factor a kernel, with the text that explains it.
type Method struct {
	Name  string // as flags and names of nodes spell it: "svd"
	Title string // one line
	Doc   string // a paragraph or two for people

	Formula   string // what is computed
	ChainText string // which nodes come out
	CostText  string // weights and multiply-accumulates of the chain
	Source    string // where the method is described

	// Effort is how much arithmetic Factor and Refit spend on a rank, where there is something to search for.
	Effort Effort
	// Accepts returns nil when the method can factor kernels of this shape, else the reason.
	Accepts func(Shape) error
	// Ranks returns the ranks that a search looks at first, in ascending order of size, all of whose
	// numbers are multiples of the one given (1 for any). With 1, the last rebuilds the kernel. Which
	// of them save anything is for the caller's costs to say.
	Ranks func(s Shape, multiple int) []Rank
	// Near returns the ranks around r at the finer spacing of a stage, 1 the first after Ranks, r
	// itself left out; none where the spacing is as fine as it gets. It is nil where Ranks are all there are.
	Near func(s Shape, r Rank, stage, multiple int) []Rank
	// Factors returns the chain of a rank without its numbers, to count its cost; nil for a rank that
	// the shape does not have.
	Factors func(Shape, Rank) Chain
	// Factor decomposes a kernel under a metric; a *RefusedError says that the method cannot factor these numbers at any
	// rank. The spectrum may hold on to the numbers of both, which are to be left as they are while it is asked.
	Factor func(linalg.Backend, Kernel, Metric) (Spectrum, error)
	// Basis is the name of the method that has all of this one's chains among its own but for further factors behind, or as a special
	// case, at the first number of a rank: none loses less here than there. It is empty where there is none.
	Basis string
	// From makes the spectrum from that of the basis for the same numbers, to the same answers as Factor, and shares what was found;
	// the two are for one goroutine at a time. It is nil where nothing can be shared.
	From func(basis Spectrum) (Spectrum, error)
	// Closed says whether under a metric the method is a singular value decomposition, which knows its losses at all ranks
	// at once, each the least there is. It is nil where it never is; where it is, Floor gives them, and the spectrum where it
	// took one.
	Closed func(Metric) bool
	Floor  func(linalg.Backend, Kernel, Metric) (Floor, Spectrum, error)
	// Refit returns a chain of the same sizes as start whose product W' lies close to a target under the
	// metric. With the target W_ls that a linear regression of wanted outputs z on inputs x gives, and
	// A = E[x xᵀ], it answers for the reduced-rank regression, since
	//
	//	E‖G^½(z − W'x)‖² = E‖G^½(z − W_ls x)‖² + ‖G^½(W_ls − W')A^½‖²_F
	//
	// (with means removed from x and z where a shift is fitted too). A *RefusedError says that the numbers have no answer.
	Refit func(b linalg.Backend, target Kernel, m Metric, start Chain) (Chain, error)
}
