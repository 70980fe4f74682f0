package calib

import (
	"maps"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/linalg"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// reading says how the columns that sites read are summed: over groups, of so many numbers each.
type reading struct {
	Input           string // the value that has them
	Groups, Columns int
	Table           bool // rows of a table are counted
	Wide            bool // columns are kept, as long as there are no more than each is long
}

// shown is what a chunk, or several together, showed of the columns that sites read.
type shown struct {
	reading   reading
	backend   linalg.Backend
	pilot     *moments.Pilot  // of a chunk's sums
	sums      *moments.Halves // nil where there are none, or they are shelved
	slot      []float64       // where they lie that have left memory
	shelved   [][]float64     // the numbers of settled sums, to be read only
	halves    [2]int64        // positions of settled sums
	kept      []run           // where there are no sums: what each run showed, in order
	counts    []int64         // of the rows of a table, nil elsewhere
	positions int64
	samples   int64
	shape     []int // of the first sample's input, without filler
	felt      moments.Felt
}

// newShown is what no run has added to.
func newShown(f reading, b linalg.Backend, in *slots) *shown {
	s := &shown{reading: f, backend: b, pilot: moments.NewPilot()}
	switch {
	case f.Table:
		s.counts = make([]int64, f.Columns)
	case !f.Wide:
		s.sums = moments.NewHalves(f.Groups, f.Columns, s.pilot).In(in)
	}
	return s
}

// saw counts a run.
func (s *shown) saw(r *feed.Run, positions int64, x tensor.Dense, weights []float32) {
	s.positions += positions
	if weights != nil {
		if s.felt == nil {
			s.felt = moments.Felt{}
		}
		s.felt.Put(r.Indices, weights)
	}
	s.samples += int64(r.Count())
	if s.shape == nil {
		s.shape = x.Shape
	}
}

// keep takes in the columns of a run, in its turn. When there turn out to be more than each is long,
// which is when the moments take less room, they are summed up, run by run as ever.
func (s *shown) keep(columns run) {
	s.kept = append(s.kept, columns)
	if s.sums != nil || s.keeps() > s.reading.Columns {
		s.sumUp()
	}
}

// keeps is the number of columns that are kept.
func (s *shown) keeps() (n int) {
	for _, r := range s.kept {
		n += len(r.columns) / s.reading.Columns
	}
	return n
}

// halved returns empty sums about the pilot of the first run that is kept.
func (s *shown) halved() (*moments.Halves, *moments.Pilot) {
	pilot, first := moments.NewPilot(), s.kept[0]
	pilot.Set(moments.Rows(s.reading.Columns, 1), first.columns, len(first.columns)/s.reading.Columns, first.roots)
	return moments.NewHalves(1, s.reading.Columns, pilot), pilot
}

// sumUp sums the columns that are kept.
func (s *shown) sumUp() {
	if len(s.kept) == 0 {
		return
	}
	if s.sums == nil {
		s.sums, s.pilot = s.halved()
	}
	var w worker
	for _, c := range s.kept {
		summation, n := moments.Rows(s.reading.Columns, 1), len(c.columns)/s.reading.Columns
		s.sums.Run(s.backend, summation, s.pilot.Off(summation, c.columns, n, c.roots, &w.off), n, c.roots, &w.part, &w.scratch)
		s.sums.Add(c.half, &w.part)
	}
	s.kept = nil
}

func (s *shown) settle() {
	if s.sums == nil {
		return
	}
	if s.halves = [2]int64{s.sums.Positions(0), s.sums.Positions(1)}; s.positions == 0 {
		s.sums = nil
	} else {
		s.sums.Settle()
	}
}

func (s *shown) numbers() [][]float64 {
	if s.sums != nil {
		return s.sums.Numbers()
	}
	return s.shelved
}

func (s *shown) sum() (leaving, *[]float64) {
	if s.sums == nil {
		return nil, nil
	}
	return s.sums, &s.slot
}

// wake has settled sums in memory, zeros where there are none.
func (s *shown) wake() {
	if s.sums != nil {
		return
	}
	s.sums = moments.NewHalves(s.reading.Groups, s.reading.Columns, &moments.Pilot{})
	s.sums.Settle()
	if s.shelved != nil {
		s.sums.Join(s.halves, s.shelved)
	}
	s.shelved = nil
}

func (s *shown) join(before *shown) {
	for i, n := range before.counts {
		s.counts[i] += n
	}
	if before.numbers() == nil && s.numbers() == nil && before.keeps()+s.keeps() <= s.reading.Columns {
		s.kept = slices.Concat(before.kept, s.kept)
	} else {
		for _, one := range []*shown{before, s} {
			if len(one.kept) > 0 {
				one.sumUp()
				one.settle()
			}
		}
		if before.numbers() != nil {
			s.wake()
			s.sums.Join(before.halves, before.numbers())
			s.halves[0], s.halves[1] = s.halves[0]+before.halves[0], s.halves[1]+before.halves[1]
		}
	}
	s.count(before)
}

// count takes in what is said of the chunks before beside their sums.
func (s *shown) count(before *shown) {
	s.positions += before.positions
	s.samples += before.samples
	if before.shape != nil {
		s.shape = before.shape
	}
	if s.felt == nil {
		s.felt = before.felt
	} else {
		maps.Copy(s.felt, before.felt)
	}
}

// together puts the columns of all runs together, those of the first half first, with the roots of their weights, nil where
// all are 1, and their mean, and forgets the runs one by one. It returns how many those of the first half are.
func (s *shown) together(out *Stats) (first int) {
	k := s.reading.Columns
	sums, pilot := s.halved()
	out.Columns = linalg.NewBlock32(int(s.positions), k)
	to, roots := out.Columns.Data, []float32(nil)
	var part moments.Part
	var off []float32
	for half := range 2 {
		for at, c := range s.kept {
			if c.half != half {
				continue
			}
			summation, n := moments.Rows(k, 1), len(c.columns)/k
			sums.RunFirst(summation, pilot.Off(summation, c.columns, n, c.roots, &off), n, c.roots, &part)
			sums.AddFirst(half, &part)
			to = to[copy(to, c.columns):]
			s.kept[at] = run{half: -1}
			if c.roots != nil {
				roots = append(roots, c.roots...)
			} else {
				roots = append(roots, slices.Repeat([]float32{1}, n)...)
			}
		}
	}
	if slices.ContainsFunc(roots, func(r float32) bool { return r != 1 }) {
		out.Roots = roots
	}
	share := float64(sums.Positions(1)) / float64(s.positions)
	out.Mean = sums.First(0)
	for i, v := range sums.First(1)[0] {
		out.Mean[0][i] += share * (v - out.Mean[0][i])
	}
	return int(sums.Positions(0))
}

// meet brings the halves together.
func (s *shown) meet(out *Stats) {
	s.wake()
	first, rest := s.sums.First(0), s.sums.First(1)
	out.A = s.sums.Means(func(g int, second func(i, j int) (a, b float64), m *linalg.Matrix) {
		a, b := half{first[g], s.sums.Positions(0)}, half{rest[g], s.sums.Positions(1)}
		out.Noise = append(out.Noise, join(a, b, s.samples, second, m))
	})
	out.Mean, s.sums = first, nil
}
