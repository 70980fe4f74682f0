package rewrite

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Pairs are the channels of an axis over which attention multiplies queries and keys, with only moves and scalings before. So any
// invertible map of the channels of a head may be taken where keys are computed, and its inverse transposed where queries are.
type Pairs struct {
	Query, Key           *Site
	QueryHeads, KeyHeads [][]int // output channels of the two for each head, in the order of units
	Of                   []int   // which head of keys each head of queries meets; several may share one
}

// Pairs returns the heads of queries and keys of an axis, false where it has none.
func (a *Axis) Pairs() (*Pairs, bool) {
	if len(a.Producers) != 2 || len(a.Readers) > 0 || len(a.Products) != 1 || len(a.Copied) > 0 {
		return nil, false
	}
	product := a.Products[0]
	p := &Pairs{}
	var from [2]*origins
	for i, port := range a.Producers {
		heads, o := headsOf(port.Channels(a.Units)), a.origins()
		if !port.whole() || heads == nil || !o.trace(port.Site) {
			return nil, false
		}
		_, first := o.at[product.Input(0)]
		_, second := o.at[product.Input(1)]
		switch {
		case first == second || i == 1 && first == (p.Query != nil):
			return nil, false
		case first:
			p.Query, p.QueryHeads, from[0] = port.Site, heads, o
		default:
			p.Key, p.KeyHeads, from[1] = port.Site, heads, o
		}
	}
	return p, p.meet(product, from)
}

// meet finds which heads a product multiplies with each other.
func (p *Pairs) meet(product graph.Node, from [2]*origins) bool {
	a, aok := from[0].axis.shapes.Of(product.Input(0))
	b, bok := from[0].axis.shapes.Of(product.Input(1))
	if !aok || !bok || len(a) != len(b) || len(a) < 2 || !slices.Equal(a[:len(a)-2], b[:len(b)-2]) {
		return false
	}
	m, k, n := a[len(a)-2], a[len(a)-1], b[len(b)-1]
	queries, keys := from[0].at[product.Input(0)], from[1].at[product.Input(1)]
	p.Of = slices.Repeat([]int{-1}, len(p.QueryHeads))
	for at := range tensor.Product(a[:len(a)-2]) {
		query, key := queries[at*m*k:(at+1)*m*k], keys[at*k*n:(at+1)*k*n]
		for i, c := range query {
			if c != query[i%k] {
				return false
			}
		}
		for i, c := range key {
			if c != key[i/n*n] {
				return false
			}
		}
		if !p.pair(query[:k], key, n) {
			return false
		}
	}
	return !slices.Contains(p.Of, -1)
}

// pair notes that the heads that some channels are of meet: entry i of the first list, and entry i·n of the second.
func (p *Pairs) pair(query, key []int, n int) bool {
	q := slices.IndexFunc(p.QueryHeads, func(of []int) bool { return slices.Contains(of, query[0]) })
	k := slices.IndexFunc(p.KeyHeads, func(of []int) bool { return slices.Contains(of, key[0]) })
	if q < 0 || k < 0 || len(query) != len(p.QueryHeads[q]) || p.Of[q] >= 0 && p.Of[q] != k {
		return false
	}
	for i, c := range query {
		unit := slices.Index(p.QueryHeads[q], c)
		if unit < 0 || p.KeyHeads[k][unit] != key[i*n] {
			return false
		}
	}
	p.Of[q] = k
	return true
}
