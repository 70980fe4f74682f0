package calib

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/moments"
	"github.com/onnx-compress/onnx-compress/internal/ordered"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// Merge makes of the sums of all parts, in their order, the statistics that Collect makes of all samples, to the last bit, and
// gives them out site by site. It holds those of one site at a time: sums are added piece by piece.
//
// A *PartError names a part that does not belong with the first.
func Merge(ctx context.Context, parts []*Sums, b linalg.Backend, give func(Stats) error) error {
	m := &merging{ctx: ctx, parts: parts, backend: b, last: -1}
	head, err := m.head()
	if err != nil {
		return err
	}
	return finish(head.heading, head.account, m, give)
}

// PartError says why the sums of a part cannot be merged with those of others.
type PartError struct {
	Part int // from 0
	Err  error
}

func (e *PartError) Error() string { return fmt.Sprintf("part %d: %v", e.Part+1, e.Err) }

// Unwrap returns the reason.
func (e *PartError) Unwrap() error { return e.Err }

// merging adds up the sums of parts.
type merging struct {
	ctx     context.Context
	parts   []*Sums
	backend linalg.Backend
	last    int // the reading whose statistics are at hand
	stats   Stats
}

// head brings together what the parts say beside their sums.
func (m *merging) head() (sumsHead, error) {
	var all *sumsHead
	for i, p := range m.parts {
		h := p.head
		if all == nil {
			all = &sumsHead{heading: h.heading}
			all.Sites = slices.Clone(h.Sites)
		}
		if err := sameSums(all.heading, h.heading); err != nil {
			return *all, &PartError{i, err}
		}
		if h.Part.Index != i || h.Part.Of != len(m.parts) {
			return *all, &PartError{i, fmt.Errorf("it is part %d of %d, wanted part %d of %d", h.Part.Index+1, h.Part.Of, i+1, len(m.parts))}
		}
		all.join(h)
	}
	if all == nil {
		return sumsHead{}, fmt.Errorf("there are no sums to merge")
	}
	return *all, m.agree(all)
}

// sameSums refuses headings of different sums.
func sameSums(a, b heading) error {
	plain := func(h heading) heading {
		h.Part, h.None, h.Sites = Part{}, "", slices.Clone(h.Sites)
		for i := range h.Sites {
			h.Sites[i].Shape = nil
		}
		return h
	}
	if !reflect.DeepEqual(plain(a), plain(b)) {
		return fmt.Errorf("its sums are of other sites, or over other chunks, than those of part 1")
	}
	return nil
}

// join takes in what a later part says.
func (h *sumsHead) join(part sumsHead) {
	for i, s := range part.Sites {
		if h.Sites[i].Shape == nil {
			h.Sites[i].Shape = s.Shape
		}
	}
	if h.None == "" {
		h.None = part.None
	}
	if h.Blame == "" {
		h.Blame = part.Blame
	}
	if h.Refused == "" {
		h.Refused = part.Refused
	}
	switch {
	case len(part.Signs) == 0: // it has no chunks
	case h.Signs == nil:
		h.Signs = slices.Clone(part.Signs)
	default:
		for i, s := range part.Signs {
			h.Signs[i] = h.Signs[i].and(s)
		}
	}
	if h.Scales == nil {
		h.Scales = part.Scales
	}
}

// agree refuses parts of which some could tell by gradients what others could not: what the latter have perturbed is not what all
// samples together would have.
func (m *merging) agree(all *sumsHead) error {
	left := all.left()
	for i, p := range m.parts {
		if len(p.head.Signs) == 0 {
			continue
		}
		if own := p.head.left(); len(own) > 0 && !slices.Equal(own, left) || len(left) > 0 && len(own) == 0 || p.head.None != all.None {
			why := "its gradients are not finite, or there are none, at other sites than in the other parts"
			if p.head.None != all.None {
				why = "some parts have gradients, and others have none: " + all.None
			}
			return &PartError{i, fmt.Errorf("%s; calibrate without parts, or without sensitivities (0 probes)", why)}
		}
	}
	return nil
}

func (m *merging) read(k int) (Stats, error) {
	if m.last == k {
		return m.stats, nil
	}
	m.last, m.stats = -1, Stats{}
	f := m.parts[0].head.Readings[k]
	count := int64(f.Groups) * int64(f.Columns) * int64(f.Columns+3)
	var nodes []opened[*shown]
	for i, p := range m.parts {
		for _, at := range p.readings[k] {
			n, err := open(p.from, at, count, func(in *counts) *shown { return in.shown(f, m.backend) })
			if err == nil && f.Wide && n.some { // few: they are kept as long as they take less
				err = load(&n, f)
			}
			if err != nil {
				return Stats{}, &PartError{i, fmt.Errorf("what sites read of %q: %w", f.Input, err)}
			}
			nodes = append(nodes, n)
		}
	}
	root, err := rootOf(nodes)
	if err != nil || root == nil {
		return Stats{}, err
	}
	if !f.Wide && slices.ContainsFunc(nodes, func(n opened[*shown]) bool { return n.some }) {
		for _, n := range nodes[:len(nodes)-1] {
			root.halves[0] += n.value.halves[0]
			root.halves[1] += n.value.halves[1]
		}
		root.sums = moments.NewHalves(f.Groups, f.Columns, &moments.Pilot{})
		root.sums.Settle()
		root.sums.Join(root.halves, root.sums.Numbers()) // so many positions, and zeros so far
		if err := sumInto(m.ctx, root.sums.Numbers(), nodes); err != nil {
			return Stats{}, err
		}
	}
	m.last, m.stats = k, root.finish()
	return m.stats, nil
}

func (m *merging) felt(i int) ([]*linalg.Matrix, error) {
	f := *m.parts[0].head.Sites[i].Feeling
	var nodes []opened[*sensed]
	for part, p := range m.parts {
		for _, at := range p.sites[i] {
			n, err := open(p.from, at, int64(f.Groups)*int64(f.Order)*int64(f.Order+1)/2, func(in *counts) *sensed { return in.sensed(f) })
			if err != nil {
				return nil, &PartError{part, fmt.Errorf("the sensitivities of site %q: %w", m.parts[0].head.Sites[i].Name, err)}
			}
			nodes = append(nodes, n)
		}
	}
	root, err := rootOf(nodes)
	if err != nil || root == nil {
		return nil, err
	}
	root.wake()
	if err := sumInto(m.ctx, root.sums.Numbers(), nodes); err != nil {
		return nil, err
	}
	return root.mean(), nil
}

// rootOf is what all nodes have together beside their sums.
func rootOf[T summed[T]](nodes []opened[T]) (root T, err error) {
	var tree ordered.Tree[T]
	join := func(a, b T) (T, error) {
		b.join(a)
		return b, nil
	}
	for _, n := range nodes {
		if err := tree.Put(ordered.Node[T]{Level: n.level, Index: n.index, Value: n.value}, join); err != nil {
			return root, err
		}
	}
	root, _, err = tree.Root(join)
	return root, err
}

// piece is how many numbers of each node are added at a time.
const piece = 1 << 15

// sumInto adds the sums of the nodes along the tree, and puts them in to, which is as long.
func sumInto[T any](ctx context.Context, to [][]float64, nodes []opened[T]) error {
	at, free := int64(0), &spare{}
	for _, row := range to {
		for part := range slices.Chunk(row, piece) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := sumPiece(part, nodes, at, free); err != nil {
				return err
			}
			at += int64(len(part))
		}
	}
	return nil
}

// sumPiece adds the numbers from at on.
func sumPiece[T any](to []float64, nodes []opened[T], at int64, free *spare) error {
	var tree ordered.Tree[[]float64]
	join := func(a, b []float64) ([]float64, error) {
		switch {
		case a == nil:
			return b, nil
		case b == nil:
			return a, nil
		}
		for i, v := range a {
			b[i] += v
		}
		free.give(a)
		return b, nil
	}
	for _, n := range nodes {
		numbers, err := n.numbers(at, len(to), free)
		if err == nil {
			err = tree.Put(ordered.Node[[]float64]{Level: n.level, Index: n.index, Value: numbers}, join)
		}
		if err != nil {
			return err
		}
	}
	sum, _, err := tree.Root(join)
	copy(to, sum)
	free.give(sum)
	return err
}

// spare are lists of numbers that were pieces, and the bytes of one, to be used again.
type spare struct {
	lists [][]float64
	bytes []byte
}

func (s *spare) take(count int) []float64 {
	if n := len(s.lists) - 1; n >= 0 && cap(s.lists[n]) >= count {
		list := s.lists[n]
		s.lists = s.lists[:n]
		return list[:count]
	}
	return make([]float64, count)
}

func (s *spare) give(list []float64) {
	if list != nil {
		s.lists = append(s.lists, list)
	}
}

// numbers reads so many of a node's sums from at on, nil where it has none.
func (n *opened[T]) numbers(at int64, count int, free *spare) ([]float64, error) {
	if !n.some {
		return nil, nil
	}
	free.bytes = slices.Grow(free.bytes[:0], 8*count)[:8*count]
	b := free.bytes
	if _, err := n.from.ReadAt(b, n.sums+8*at); err != nil && err != io.EOF {
		return nil, err
	}
	out := free.take(count)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out, nil
}

// load reads all sums of a node.
func load(n *opened[*shown], f reading) error {
	var rows [][]float64
	at := int64(0)
	for _, length := range []int{f.Columns * f.Columns, f.Columns, f.Columns, f.Columns} {
		row, err := n.numbers(at, length, &spare{})
		if err != nil {
			return err
		}
		rows, at = append(rows, row), at+int64(length)
	}
	n.value.shelved = rows
	return nil
}
